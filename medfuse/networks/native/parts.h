// Step 5 of 8, network: what the kernels are made of: vectors, threads, tiles, products, norms and depthwise convolutions.
//
// Maps are float32, channels last: x[((n * H + y) * W + x) * C + c]. Each kernel streams over an image once, tile by
// tile; what lies between two layers stays in the cache, three rows at a time. Tiles do not depend on the number of
// threads, and sums over tiles have a fixed order: the result is the same, bit for bit, for any number of threads.
// Matrices are packed as medfuse/networks/native/packing.py says. Compiled once for each instruction set.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__) || defined(__aarch64__)
#define LANES 8
#else
#error "the kernels are for AVX-512, AVX2 or 64-bit ARM"
#endif

// Each source that includes this has its own.
namespace {

typedef float Vec __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));

// Memory that begins with a line of the cache, so that no vector lies in two.
template <class T>
struct OnLines {
  typedef T value_type;
  static constexpr std::align_val_t line{64};
  T* allocate(size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), line)); }
  void deallocate(T* begin, size_t) { ::operator delete(begin, line); }
  bool operator==(const OnLines&) const { return true; }
  bool operator!=(const OnLines&) const { return false; }
};
typedef std::vector<float, OnLines<float>> Buffer;

constexpr int WIDEST = LANES == 16 ? 4 : 2;  // vectors in a panel of a matrix; with PIXELS they fill the registers
constexpr int PIXELS = 6, GATED_PIXELS = 12;  // in a block of a product or a depthwise convolution, and gated together
constexpr int TILE_ROWS = 64, TILE_COLUMNS = 128;

inline Vec load(const float* p) { return *reinterpret_cast<const Vec*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<Vec*>(p) = v; }
inline Vec all(float value) { return Vec{} + value; }
inline Vec least(Vec a, Vec b) { return a < b ? a : b; }
inline Vec most(Vec a, Vec b) { return a > b ? a : b; }

inline float sum(Vec v) {
  typedef float Four __attribute__((vector_size(16)));
  Four quarters[LANES / 4];
  std::memcpy(quarters, &v, sizeof v);
  Four total = quarters[0];
  for (int i = 1; i < LANES / 4; ++i) total += quarters[i];
  return (total[0] + total[2]) + (total[1] + total[3]);
}

// 2 ** x, for x from -126 to 127.
inline Vec exp2_of(Vec x) {
  const Vec shifted = x + 12582912.0f;  // 1.5 * 2 ** 23: its last bits are x, rounded
  const Vec f = x - (shifted - 12582912.0f);
  Vec p = all(1.534580806e-4f);
  for (float c : {1.339993090e-3f, 9.618489072e-3f, 5.550328642e-2f, 2.402264625e-1f, 6.931471825e-1f, 1.0f}) p = p * f + c;
  Ints bits, exponent;
  std::memcpy(&bits, &p, sizeof bits);
  std::memcpy(&exponent, &shifted, sizeof exponent);
  bits += (exponent - 0x4b400000) << 23;
  std::memcpy(&p, &bits, sizeof p);
  return p;
}

// exp(x); infinity beyond 88, 0 below -87, NaN for NaN.
inline Vec exp_of(Vec x) {
  const Vec found = exp2_of(most(least(x, all(88.0f)), all(-87.0f)) * 1.44269504f);
  const Vec above = x > 88.0f ? all(std::numeric_limits<float>::infinity()) : found;
  const Vec below = x < -87.0f ? all(0.0f) : above;
  return x == x ? below : x;
}

// The share of a normal distribution beyond |x|: erfc(|x| / sqrt 2) / 2, where erfc = 2 ** (-|x| R(|x|)) and R is a polynomial.
inline Vec tail(Vec size) {
  const Vec t = least(size, all(9.0f));
  Vec r = all(1.9020669697e-6f);
  for (float c : {-2.8056896553e-5f, 1.3147266872e-4f, 2.7207809034e-4f, -7.2454260662e-3f, 5.2627615631e-2f, 4.5916214585e-1f, 1.1511110067f})
    r = r * t + c;
  return 0.5f * exp2_of(most(-t * r, all(-126.0f)));
}

// The exact GELU: x * Phi(x) = max(x, 0) - |x| tail(|x|). The error of the product is below 4e-8.
inline Vec gelu(Vec x) {
  const Vec size = x < 0.0f ? -x : x;
  return (x > 0.0f ? x : all(0.0f)) - size * tail(size);
}

// Also its slope: Phi(x) + x phi(x), where phi is the density.
inline void gelu_and_slope(Vec x, Vec& value, Vec& slope) {
  const Vec size = x < 0.0f ? -x : x, beyond = tail(size);
  const Vec density = 0.39894228f * exp2_of(most(-0.72134752f * x * x, all(-126.0f)));
  value = (x > 0.0f ? x : all(0.0f)) - size * beyond;
  slope = (x > 0.0f ? 1.0f - beyond : beyond) + x * density;
}

inline Vec relu6(Vec x) { return most(least(x, all(6.0f)), all(0.0f)); }

// What becomes of a sum: it is stored, or added to a base, or goes through ReLU6.
enum Then { STORE, ADD, RELU6 };

template <Then then>
inline void put(float* to, Vec sum, const float* base) {
  if constexpr (then == ADD) sum = load(base) + sum;
  store(to, then == RELU6 ? relu6(sum) : sum);
}

// Some channels of pixels that lie `step` floats apart.
template <class Float>
struct Pixels {
  Float* first = nullptr;
  int step = 0;
  Float* operator[](int p) const { return first + p * step; }
  Pixels from(int p, int channel = 0) const { return {first + p * step + channel, step}; }
};
typedef Pixels<const float> In;
typedef Pixels<float> Out;

// Calls work(job) for each job, on as many threads as asked. Returns false if memory ran out.
template <class Work>
bool in_parallel(int jobs, int threads, Work work) {
  std::atomic<int> next{0};
  std::atomic<bool> good{true};
  auto run = [&] {
    try {
      for (int job; good && (job = next++) < jobs;) work(job);
    } catch (const std::bad_alloc&) {
      good = false;
    }
  };
  std::vector<std::thread> others;
  try {
    for (int i = 1; i < std::min(threads, jobs); ++i) others.emplace_back(run);
  } catch (const std::exception&) {  // no more threads to be had: those that run do all the work
  }
  run();
  for (auto& other : others) other.join();
  return good;
}

// A part of one image: rows y0 to y1 and columns x0 to x1.
struct Tile {
  int number, image, height, width, y0, y1, x0, x1;
  int columns() const { return x1 - x0; }
  bool has_row(int y) const { return y >= 0 && y < height; }
  size_t pixel(int y, int x) const { return (size_t(image) * height + y) * width + x; }
};

// The tiles of the rows from `top` to `bottom` of some images, which have more above and below.
struct Tiling {
  int images, height, width, top, bottom, tile_columns = TILE_COLUMNS;
  int down() const { return (bottom - top + TILE_ROWS - 1) / TILE_ROWS; }
  int across() const { return (width + tile_columns - 1) / tile_columns; }
  int in_image() const { return down() * across(); }
  int count() const { return images * in_image(); }
  Tile operator[](int number) const {
    const int inside = number % in_image(), y0 = top + inside / across() * TILE_ROWS, x0 = inside % across() * tile_columns;
    return {number, number / in_image(), height, width, y0, std::min(y0 + TILE_ROWS, bottom), x0, std::min(x0 + tile_columns, width)};
  }
};

// The few rows of a map around those in work, with a margin of columns at both ends.
struct Rows {
  Rows(int columns, int channels, int kept = 3) : channels(channels), kept(kept), size(size_t(columns) * channels), values(kept * size) {}
  float* operator[](int y) { return values.data() + ((y + 2 * kept) % kept) * size; }
  int channels, kept;
  size_t size;
  Buffer values;
};

// Put a (P x inputs) * w (inputs x NV vectors) into out (P x NV vectors). What it is added to is added once, at the end: a
// sum that begins at a large value loses digits of every product.
template <Then then, int P, int NV>
inline void block(In a, const float* w, int inputs, Out out, In base) {
  Vec acc[P][NV] = {};
  for (int k = 0; k < inputs; ++k) {
    Vec b[NV];
    for (int v = 0; v < NV; ++v) b[v] = load(w + (size_t(k) * NV + v) * LANES);
    for (int p = 0; p < P; ++p)
      for (int v = 0; v < NV; ++v) acc[p][v] += a[p][k] * b[v];
  }
#pragma GCC unroll 8
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) put<then>(out[p] + v * LANES, acc[p][v], base[p] + v * LANES);
}

template <Then then, int NV>
void panel(In a, int pixels, const float* w, int inputs, Out out, In base) {
  int p = 0;
  for (; p + PIXELS <= pixels; p += PIXELS) block<then, PIXELS, NV>(a.from(p), w, inputs, out.from(p), base.from(p));
  for (; p + 2 <= pixels; p += 2) block<then, 2, NV>(a.from(p), w, inputs, out.from(p), base.from(p));
  for (; p < pixels; ++p) block<then, 1, NV>(a.from(p), w, inputs, out.from(p), base.from(p));
}

// The same for many pixels and any number of outputs.
template <Then then = STORE>
void multiply(In a, int pixels, const float* w, int inputs, int outputs, Out out, In base = {}) {
  for (int n = 0; n < outputs;) {
    const int vectors = (outputs - n) / LANES, nv = vectors >= 4 && WIDEST == 4 ? 4 : vectors >= 2 ? 2 : 1;
    const auto of_width = nv == 4 ? panel<then, WIDEST> : nv == 2 ? panel<then, 2> : panel<then, 1>;
    of_width(a, pixels, w + size_t(n) * inputs, inputs, out.from(0, n), then == ADD ? base.from(0, n) : base);
    n += nv * LANES;
  }
}

// What a norm needs to know of a pixel.
struct Normal {
  float mean, inverse;  // of the channels, and of their deviation

  Normal(const float* x, int channels) {
    Vec total{}, squares{};
    for (int c = 0; c < channels; c += LANES) total += load(x + c);
    mean = sum(total) / channels;
    for (int c = 0; c < channels; c += LANES) {
      const Vec apart = load(x + c) - mean;
      squares += apart * apart;
    }
    inverse = 1.0f / __builtin_sqrtf(sum(squares) / channels + 1e-5f);
  }
};

// Normalize each pixel over its channels; without a shift the mean is kept.
void normalize(const float* x, int pixels, int channels, const float* scale, const float* shift, float* out) {
  for (; pixels-- > 0; x += channels, out += channels) {
    const Normal normal(x, channels);
    for (int c = 0; c < channels; c += LANES) {
      const Vec value = load(x + c);
      store(out + c, shift ? (value - normal.mean) * normal.inverse * load(scale + c) + load(shift + c) : value * normal.inverse * load(scale + c));
    }
  }
}

// Add to P pixels the depthwise 3x3 of a vector of channels, which is `from` in three rows with a margin of one.
template <int P>
inline void spread(float* const rows[3], int x, int from, const float* w, int channels, Vec acc[P]) {
  for (int y = 0; y < 3; ++y) {
    const float* row = rows[y] + x * channels + from;
    Vec k[3];
    for (int i = 0; i < 3; ++i) k[i] = load(w + (y * 3 + i) * channels);
    for (int p = 0; p < P + 2; ++p) {  // each value is read once, for up to three sums
      const Vec value = load(row + p * channels);
      for (int i = 0; i < 3; ++i)
        if (p - i >= 0 && p - i < P) acc[p - i] += k[i] * value;
    }
  }
}

template <Then then, int P>
inline void depthwise_pixels(float* const rows[3], int x, int channels, const float* w, int partner, float* out) {
  const int run = partner > 0 ? partner : channels;
  for (int c = 0, away = partner, end = run; c < channels; c += LANES) {
    if (c == end) away = -away, end += run;
    Vec acc[P] = {};
    spread<P>(rows, x, c, w + c, channels, acc);
    if (partner > 0) spread<P>(rows, x, c + away, w + 9 * channels + c, channels, acc);
    for (int p = 0; p < P; ++p) put<then>(out + (x + p) * channels + c, acc[p], nullptr);
  }
}

// A few pixels at a time, so that what they read is still in the nearest cache for the next channels. With `partner` above
// 0 each output also has a second input, that many channels away within a half of the map.
template <Then then = STORE>
void depthwise(float* const rows[3], int pixels, int channels, const float* w, int partner, float* out) {
  int x = 0;
  for (; x + PIXELS <= pixels; x += PIXELS) depthwise_pixels<then, PIXELS>(rows, x, channels, w, partner, out);
  for (; x + 2 <= pixels; x += 2) depthwise_pixels<then, 2>(rows, x, channels, w, partner, out);
  for (; x < pixels; ++x) depthwise_pixels<then, 1>(rows, x, channels, w, partner, out);
}

// Fill a row of a map, columns x0 - margin to x1 + margin, by fill(first column, columns, where); black beyond the image.
template <class Fill>
void padded_row(const Tile& tile, int y, int margin, int channels, float* row, Fill fill) {
  const int first = std::max(tile.x0 - margin, 0), last = std::min(tile.x1 + margin, tile.width);
  const size_t all_columns = tile.columns() + 2 * margin, left = first - (tile.x0 - margin);
  if (!tile.has_row(y)) return void(std::memset(row, 0, all_columns * channels * sizeof(float)));
  std::memset(row, 0, left * channels * sizeof(float));
  fill(first, last - first, row + left * channels);
  const size_t filled = left + (last - first);
  std::memset(row + filled * channels, 0, (all_columns - filled) * channels * sizeof(float));
}

}  // namespace
