// Step 5 of 8, network: the kernels that CDDFuse and Restormer spend their time in, for CPUs.
//
//   medfuse_alike    where a map repeats one pixel, as in the black margin of a picture: there the others compute nothing
//   medfuse_attend   norm -> 1x1 and depthwise 3x3, or dense 3x3 -> values, and the products of queries and keys
//   medfuse_refine   x + (attention x values), then + feed-forward(norm)
//   medfuse_couple   one invertible node
//
// How they work on maps, see parts.h; the way back, see gradients.cpp.

#include "parts.h"

namespace {

// A dense 3x3 takes 36 products for every 4 x 4 pixels, where 144 would be due: Winograd's F(4, 3) along rows and across them
// (Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016).
// Its polynomials meet at 0, infinity and these points, plus and minus: they lose half as many digits as 1 and 2.
constexpr int STEP = 4, PARTS = 6;
constexpr float NEAR = 0.625f, FAR = 1.5f, NEAR2 = NEAR * NEAR, FAR2 = FAR * FAR;

// From six neighbors, runs of `count` values each, to the parts that four results are made of, `apart` floats away.
inline void to_parts(const float* const runs[PARTS], int count, float* parts, size_t apart) {
  for (int i = 0; i < count; i += LANES) {
    Vec d[PARTS];
    for (int k = 0; k < PARTS; ++k) d[k] = load(runs[k] + i);
    const Vec a = d[4] - FAR2 * d[2], b = NEAR * (d[3] - FAR2 * d[1]), e = d[4] - NEAR2 * d[2], f = FAR * (d[3] - NEAR2 * d[1]);
    float* to = parts + i;
    store(to, NEAR2 * FAR2 * d[0] - (NEAR2 + FAR2) * d[2] + d[4]);
    store(to + apart, a + b);
    store(to + 2 * apart, a - b);
    store(to + 3 * apart, e + f);
    store(to + 4 * apart, e - f);
    store(to + 5 * apart, NEAR2 * FAR2 * d[1] - (NEAR2 + FAR2) * d[3] + d[5]);
  }
}

// From products of parts, `apart` floats away, to four runs of `count` values.
inline void from_parts(const float* products, size_t apart, int count, float* const runs[STEP]) {
  for (int i = 0; i < count; i += LANES) {
    Vec m[PARTS];
    for (int k = 0; k < PARTS; ++k) m[k] = load(products + k * apart + i);
    const Vec a = m[1] + m[2], b = m[1] - m[2], e = m[3] + m[4], f = m[3] - m[4];
    store(runs[0] + i, m[0] + a + e);
    store(runs[1] + i, NEAR * b + FAR * f);
    store(runs[2] + i, NEAR2 * a + FAR2 * e);
    store(runs[3] + i, NEAR * NEAR2 * b + FAR * FAR2 * f + m[5]);
  }
}

// Where a map repeats one pixel. `around` tells how many steps a pixel is from the nearest that differs or lies beyond the
// image, up to FARTHEST: a layer that sees `reach` pixels far gives one and the same result wherever it is more than that.
struct Alike {
  static constexpr int FARTHEST = 5;
  const uint8_t* around = nullptr;  // of all pixels of all images; none if nothing repeats
  const int64_t* repeated = nullptr;  // the pixel of each image that the others repeat

  bool in(const Tile& tile) const { return around && repeated[tile.image] >= 0; }
  const float* of(const Tile& tile, const float* map, int channels) const { return map + repeated[tile.image] * channels; }

  // Call work(first, count) for each run of columns of a row, from `first` to `end`, whose results have to be computed.
  template <class Work>
  void others(const Tile& tile, int y, int reach, int first, int end, Work work) const {
    runs(in(tile) ? around + tile.pixel(y, 0) : nullptr, first, end, [&](uint8_t steps) { return steps <= reach; }, work);
  }

  // The same for those whose results are known.
  template <class Work>
  void repeats(const Tile& tile, int y, int reach, int first, int end, Work work) const {
    if (in(tile)) runs(around + tile.pixel(y, 0), first, end, [&](uint8_t steps) { return steps > reach; }, work);
  }

  template <class Wanted, class Work>
  static void runs(const uint8_t* steps, int first, int end, Wanted wanted, Work work) {
    if (steps == nullptr) return work(first, end - first);
    for (int x = first; x < end;) {
      for (; x < end && !wanted(steps[x]); ++x) {}
      const int begin = x;
      for (; x < end && wanted(steps[x]); ++x) {}
      if (x > begin) work(begin, x - begin);
    }
  }
};

// Put one pixel side by side, `count` times.
inline void repeat(const float* pixel, int channels, int count, float* to) {
  for (; count-- > 0; to += channels) std::memcpy(to, pixel, channels * sizeof(float));
}

// What a depthwise 3x3 makes of a pixel that is the same all around.
template <Then then = STORE>
void depthwise_of_one(const float* pixel, int channels, const float* w, int partner, float* out) {
  Buffer row(size_t(3) * channels);
  repeat(pixel, channels, 3, row.data());
  float* rows[3] = {row.data(), row.data(), row.data()};
  depthwise<then>(rows, 1, channels, w, partner, out);
}

// Add, for one row of pixels `step` floats apart, the products of queries with the keys of their head (C x size), and the
// squares of both (C each).
void add_products(const float* qk, int step, int pixels, int channels, int size, double* sums) {
  constexpr int EIGHT = 8;
  typedef float Keys __attribute__((vector_size(EIGHT * 4), aligned(4), may_alias));
  for (int i = 0; i < channels; i += EIGHT)
    for (int j = 0; j < size; j += EIGHT) {
      Keys acc[EIGHT] = {};
      const float *q = qk + i, *k = qk + channels + i / size * size + j;
      for (int p = 0; p < pixels; ++p, q += step, k += step) {
        const Keys keys = *reinterpret_cast<const Keys*>(k);
        for (int r = 0; r < EIGHT; ++r) acc[r] += q[r] * keys;
      }
      for (int r = 0; r < EIGHT; ++r)
        for (int s = 0; s < EIGHT; ++s) sums[(i + r) * size + j + s] += acc[r][s];
    }
  double* squares = sums + channels * size;
  for (int c = 0; c < 2 * channels; c += LANES) {
    Vec total{};
    for (int p = 0; p < pixels; ++p) {
      const Vec value = load(qk + p * step + c);
      total += value * value;
    }
    for (int i = 0; i < LANES; ++i) squares[c + i] += total[i];
  }
}

struct Attend {
  const float *x, *scale, *shift, *project, *depthwise_weights;  // no depthwise weights: project is a dense 3x3, in parts
  int channels, size, outputs;  // channels of queries and keys, of values, or of all three
  float* values;                // none for queries and keys alone
  Alike alike;

  void operator()(const Tile& tile, double* sums) const { depthwise_weights ? one_by_one(tile, sums) : dense(tile, sums); }

  void one_by_one(const Tile& tile, double* sums) const {
    const int columns = tile.columns();
    Rows ring(columns + 2, outputs);
    Buffer row(size_t(columns + 2) * channels), qkv(size_t(columns) * outputs), same(outputs);
    if (alike.in(tile)) {
      Buffer projected(outputs);
      normalize(alike.of(tile, x, channels), 1, channels, scale, shift, row.data());
      multiply({row.data(), channels}, 1, project, channels, outputs, {projected.data(), outputs});
      depthwise_of_one(projected.data(), outputs, depthwise_weights, 0, same.data());
    }
    int64_t repeated = 0;
    for (int y = tile.y0 - 1; y <= tile.y1; ++y) {
      padded_row(tile, y, 1, outputs, ring[y], [&](int first, int count, float* where) {
        alike.others(tile, y, 2, first, first + count, [&](int from, int few) {
          normalized(tile, y, from, few, row.data());
          multiply({row.data(), channels}, few, project, channels, outputs, {where + (from - first) * outputs, outputs});
        });
      });
      if (y - 1 < tile.y0) continue;
      alike.others(tile, y - 1, 1, tile.x0, tile.x1, [&](int from, int few) {
        const int begin = (from - tile.x0) * outputs;
        float* rows[3] = {ring[y - 2] + begin, ring[y - 1] + begin, ring[y] + begin};
        depthwise(rows, few, outputs, depthwise_weights, 0, qkv.data() + begin);
      });
      repeated += finish(tile, y - 1, qkv.data(), same.data(), sums);
    }
    count(same.data(), repeated, sums);
  }

  // The few rows that dense() works with, for some steps of four pixels.
  struct Steps {
    Steps(int steps, int channels, int outputs)
        : steps(steps), channels(channels), outputs(outputs), parts(PARTS * steps, channels, PARTS), products(PARTS * steps, outputs, STEP),
          row(size_t(STEP * steps + 2) * channels), blends(size_t(PARTS) * steps * channels), blended(size_t(PARTS) * steps * outputs) {}
    int steps, channels, outputs;
    Rows parts, products;
    Buffer row, blends, blended;

    // Bring `row` into parts.
    void take(int y) {
      for (int s = 0; s < steps; ++s) {
        const float* pixels[PARTS];
        for (int i = 0; i < PARTS; ++i) pixels[i] = row.data() + (s * STEP + i) * channels;
        to_parts(pixels, channels, parts[y] + s * channels, steps * channels);
      }
    }

    // Make the products of four rows from the six rows of parts up to y, for some of the steps.
    void multiply_parts(int y, int first, int few, const float* project) {
      const int count = few * channels, made = few * outputs;
      for (int part = 0; part < PARTS; ++part) {
        const float* rows[PARTS];
        float* made_rows[STEP];
        for (int i = 0; i < PARTS; ++i) rows[i] = parts[y - 5 + i] + (part * steps + first) * channels;
        for (int i = 0; i < STEP; ++i) made_rows[i] = products[i] + (part * steps + first) * outputs;
        to_parts(rows, count, blends.data(), count);
        for (int i = 0; i < PARTS; ++i)
          multiply({blends.data() + i * count, channels}, few, project + size_t(part * PARTS + i) * channels * outputs, channels, outputs,
                   {blended.data() + i * made, outputs});
        from_parts(blended.data(), made, made, made_rows);
      }
    }

    // Make the pixels of one of the four rows, for some of the steps.
    void finish(int i, int first, int few, float* row_of_pixels) {
      for (int s = first; s < first + few; ++s) {
        float* pixels[STEP];
        for (int k = 0; k < STEP; ++k) pixels[k] = row_of_pixels + (s * STEP + k) * outputs;
        from_parts(products[i] + s * outputs, steps * outputs, outputs, pixels);
      }
    }
  };

  void dense(const Tile& tile, double* sums) const {
    const int columns = tile.columns(), end = tile.y0 + (tile.y1 - tile.y0 + STEP - 1) / STEP * STEP;
    Steps work((columns + STEP - 1) / STEP, channels, outputs);
    Buffer qkv(size_t(STEP) * work.steps * outputs), same(alike.in(tile) ? STEP * outputs : 0);
    if (alike.in(tile)) dense_of_one(tile, same.data());
    int64_t repeated = 0;
    for (int y = tile.y0 - 1; y <= end; ++y) {
      padded_row(tile, y, 1, channels, work.row.data(), [&](int first, int count, float* where) { normalized(tile, y, first, count, where); });
      work.take(y);
      if (y == tile.y0 || (y - tile.y0) % STEP) continue;  // the last row that four more need
      const int top = y - STEP, bottom = std::min(y, tile.y1);
      const std::vector<uint8_t> wanted = wanted_steps(tile, top, bottom, work.steps);
      const auto of_wanted = [&](auto some) { Alike::runs(wanted.data(), 0, work.steps, [](uint8_t is) { return is; }, some); };
      of_wanted([&](int first, int few) { work.multiply_parts(y, first, few, project); });
      for (int row = top; row < bottom; ++row) {
        of_wanted([&](int first, int few) { work.finish(row - top, first, few, qkv.data()); });
        repeated += finish(tile, row, qkv.data(), same.data(), sums);
      }
    }
    count(same.data(), repeated, sums);
  }

  // Which steps of four pixels have one that has to be computed, in some rows.
  std::vector<uint8_t> wanted_steps(const Tile& tile, int top, int bottom, int steps) const {
    std::vector<uint8_t> wanted(steps, 0);
    for (int y = top; y < bottom; ++y)
      alike.others(tile, y, 1, tile.x0, tile.x1, [&](int from, int few) {
        for (int x = from - tile.x0; x < from - tile.x0 + few; ++x) wanted[x / STEP] = 1;
      });
    return wanted;
  }

  void dense_of_one(const Tile& tile, float* same) const {
    Steps one(1, channels, outputs);
    normalize(alike.of(tile, x, channels), 1, channels, scale, shift, one.row.data());
    repeat(one.row.data(), channels, PARTS - 1, one.row.data() + channels);
    for (int y = 0; y < PARTS; ++y) one.take(y);
    one.multiply_parts(PARTS - 1, 0, 1, project);
    one.finish(0, 0, 1, same);
  }

  void normalized(const Tile& tile, int y, int first, int count, float* where) const {
    normalize(x + tile.pixel(y, first) * channels, count, channels, scale, shift, where);
  }

  // Count and keep one row of queries, keys and values; return how many pixels repeat one, which are still to be counted.
  int64_t finish(const Tile& tile, int y, const float* qkv, const float* same, double* sums) const {
    int64_t repeated = 0;
    float* to = values ? values + tile.pixel(y, 0) * channels : nullptr;
    alike.others(tile, y, 1, tile.x0, tile.x1, [&](int from, int few) {
      const float* computed = qkv + (from - tile.x0) * outputs;
      if (sums) add_products(computed, outputs, few, channels, size, sums);
      for (int p = 0; to && p < few; ++p) std::memcpy(to + (from + p) * channels, computed + (p + 1) * outputs - channels, channels * sizeof(float));
    });
    alike.repeats(tile, y, 1, tile.x0, tile.x1, [&](int from, int few) {
      repeated += few;
      if (to) repeat(same + outputs - channels, channels, few, to + from * channels);
    });
    return repeated;
  }

  // Count one pixel many times.
  void count(const float* qkv, int64_t times, double* sums) const {
    if (sums == nullptr || times == 0) return;
    std::vector<double> of_one(size_t(channels) * size + 2 * channels);
    add_products(qkv, outputs, 1, channels, size, of_one.data());
    for (size_t k = 0; k < of_one.size(); ++k) sums[k] += times * of_one[k];
  }
};

struct Refine {
  const float *x, *values, *attention, *scale, *shift, *project_in, *depthwise_weights, *project_out;
  int channels, hidden, partner;
  float* out;
  Alike alike;

  void operator()(const Tile& tile) const {
    const int columns = tile.columns(), wide = columns + 2, both = 2 * hidden;
    Rows attended(wide, channels), ring(wide, both);
    Buffer normalized(size_t(wide) * channels), gated(size_t(columns) * hidden), few(size_t(GATED_PIXELS) * both), same(channels);
    if (alike.in(tile)) {
      Buffer sums(channels), into(both);
      enter(tile, alike.of(tile, x, channels), alike.of(tile, values, channels), 1, sums.data(), normalized.data(), into.data());
      depthwise_of_one(into.data(), both, depthwise_weights, partner, few.data());
      gate(few.data(), 1, gated.data());
      leave(gated.data(), 1, sums.data(), same.data());
    }
    for (int y = tile.y0 - 1; y <= tile.y1; ++y) {
      padded_row(tile, y, 1, both, ring[y], [&](int first, int count, float* where) {
        alike.others(tile, y, 3, first, first + count, [&](int from, int some) {
          const size_t begin = tile.pixel(y, from) * channels;
          enter(tile, x + begin, values + begin, some, attended[y] + (from - tile.x0 + 1) * channels, normalized.data(), where + (from - first) * both);
        });
      });
      if (y - 1 < tile.y0) continue;
      float* result = out + tile.pixel(y - 1, 0) * channels;
      alike.others(tile, y - 1, 2, tile.x0, tile.x1, [&](int from, int some) {
        const int begin = from - tile.x0;
        for (int p = 0; p < some; p += GATED_PIXELS) {  // few enough to stay in the nearest cache
          const int count = std::min(GATED_PIXELS, some - p);
          float* rows[3];
          for (int i = 0; i < 3; ++i) rows[i] = ring[y - 2 + i] + (begin + p) * both;
          depthwise(rows, count, both, depthwise_weights, partner, few.data());
          gate(few.data(), count, gated.data() + p * hidden);
        }
        leave(gated.data(), some, attended[y - 1] + (begin + 1) * channels, result + from * channels);
      });
      alike.repeats(tile, y - 1, 2, tile.x0, tile.x1,
                    [&](int from, int some) { repeat(same.data(), channels, some, result + from * channels); });
    }
  }

  // Add the attended values, and make the hidden maps.
  void enter(const Tile& tile, const float* from, const float* v, int pixels, float* sums, float* normalized, float* into) const {
    const float* matrix = attention + size_t(tile.image) * channels * channels;
    multiply<ADD>({v, channels}, pixels, matrix, channels, channels, {sums, channels}, {from, channels});
    normalize(sums, pixels, channels, scale, shift, normalized);
    multiply({normalized, channels}, pixels, project_in, channels, 2 * hidden, {into, 2 * hidden});
  }

  void gate(const float* spread, int pixels, float* gated) const {
    for (; pixels-- > 0; spread += 2 * hidden, gated += hidden)
      for (int c = 0; c < hidden; c += LANES) store(gated + c, gelu(load(spread + c)) * load(spread + hidden + c));
  }

  void leave(const float* gated, int pixels, const float* sums, float* result) const {
    multiply<ADD>({gated, hidden}, pixels, project_out, hidden, channels, {result, channels}, {sums, channels});
  }
};

// The column or row that a reflected border shows at i, for a side of n.
inline int reflected(int i, int n) { return i < 0 ? -i : i >= n ? 2 * n - 2 - i : i; }

struct Couple {
  const float *x, *mixing, *bias, *phi_in, *phi_depthwise, *phi_out, *both_in, *both_depthwise, *rho_out, *eta_out;
  int channels;
  float clamp;
  float* out;
  Alike alike;

  // The three stages, each for some pixels. The first mixes all channels, and makes what is hidden in the first function.
  void mix(const float* from, int pixels, float* mixed, float* hidden) const {
    multiply<ADD>({from, channels}, pixels, mixing, channels, channels, {mixed, channels}, {bias, 0});
    multiply<RELU6>({mixed, channels}, pixels, phi_in, channels / 2, channels, {hidden, channels});
  }

  // The second moves one half, and makes what is hidden in the other two functions.
  void move(const float* spread, int pixels, float* mixed, float* hidden) const {
    const int half = channels / 2;
    const Out z2{mixed + half, channels};
    multiply<ADD>({spread, channels}, pixels, phi_out, channels, half, z2, {z2.first, channels});
    multiply<RELU6>({z2.first, channels}, pixels, both_in, half, 2 * channels, {hidden, 2 * channels});
  }

  // The third moves and scales the other half.
  void finish(const float* spread, int pixels, const float* mixed, float* rho, float* eta, float* result) const {
    const int half = channels / 2;
    multiply({spread, 2 * channels}, pixels, rho_out, channels, half, {rho, half});
    multiply({spread + channels, 2 * channels}, pixels, eta_out, channels, half, {eta, half});
    std::memcpy(result, mixed, size_t(pixels) * channels * sizeof(float));
    for (; pixels-- > 0; result += channels, rho += half, eta += half)
      for (int c = 0; c < half; c += LANES) {
        Vec exponent = load(rho + c);
        if (clamp > 0.0f) exponent = clamp * (1.0f - 2.0f / (exp_of(exponent * (2.0f / clamp)) + 1.0f));  // tanh
        store(result + c, load(result + c) * exp_of(exponent) + load(eta + c));
      }
  }

  // Reflect the columns beside the image, of a row that was made from column `first` to `last`.
  static void reflect_ends(float* at_zero, int first, int last, int width, int outputs) {
    if (first == 0) std::memcpy(at_zero - outputs, at_zero + reflected(-1, width) * outputs, outputs * sizeof(float));
    if (last == width) std::memcpy(at_zero + width * outputs, at_zero + reflected(width, width) * outputs, outputs * sizeof(float));
  }

  static void active_depthwise(Rows& ring, const Tile& tile, int y, int skip, int pixels, const float* w, float* result) {
    float* rows[3];
    for (int i = 0; i < 3; ++i) rows[i] = ring[reflected(y - 1 + i, tile.height)] + skip * ring.channels;
    depthwise<RELU6>(rows, pixels, ring.channels, w, 0, result);
  }

  void operator()(const Tile& tile) const {
    const int half = channels / 2, columns = tile.columns(), wide = columns + 4;
    // z has a margin of two columns, what follows the first function one; rows of z lag by one and two behind.
    Rows mixed(wide, channels), first_hidden(wide + 2, channels), both_hidden(wide, 2 * channels);
    Buffer one(size_t(wide) * channels), two(size_t(columns) * 2 * channels), rho(size_t(columns) * half), eta(rho.size()), same(channels);
    if (alike.in(tile)) {
      mix(alike.of(tile, x, channels), 1, mixed[0], first_hidden[0]);
      depthwise_of_one<RELU6>(first_hidden[0], channels, phi_depthwise, 0, one.data());
      move(one.data(), 1, mixed[0], both_hidden[0]);
      depthwise_of_one<RELU6>(both_hidden[0], 2 * channels, both_depthwise, 0, two.data());
      finish(two.data(), 1, mixed[0], rho.data(), eta.data(), same.data());
    }
    const int x0 = std::max(tile.x0 - 2, 0), x1 = std::min(tile.x1 + 2, tile.width);
    const int inner0 = std::max(tile.x0 - 1, 0), inner1 = std::min(tile.x1 + 1, tile.width);
    auto mixed_at = [&](int y, int column) { return mixed[y] + (column - tile.x0 + 2) * channels; };
    const int top = std::max(tile.y0 - 2, 0), bottom = std::min(tile.y1 + 2, tile.height);
    int moved = std::max(tile.y0 - 1, 0), done = tile.y0;  // the next rows of the two later stages
    for (int y = top; y < bottom; ++y) {
      alike.others(tile, y, 4, x0, x1, [&](int from, int some) {
        mix(x + tile.pixel(y, from) * channels, some, mixed_at(y, from), first_hidden[y] + (from - tile.x0 + 3) * channels);
      });
      reflect_ends(first_hidden[y] + (3 - tile.x0) * channels, x0, x1, tile.width, channels);
      for (; moved < std::min(tile.y1 + 1, tile.height) && (moved < y || y == tile.height - 1); ++moved) {
        alike.others(tile, moved, 3, inner0, inner1, [&](int from, int some) {
          active_depthwise(first_hidden, tile, moved, from - tile.x0 + 2, some, phi_depthwise, one.data());
          move(one.data(), some, mixed_at(moved, from), both_hidden[moved] + (from - tile.x0 + 1) * 2 * channels);
        });
        reflect_ends(both_hidden[moved] + (1 - tile.x0) * 2 * channels, inner0, inner1, tile.width, 2 * channels);
        for (; done < tile.y1 && (done < moved || moved == tile.height - 1); ++done) {
          float* result = out + tile.pixel(done, 0) * channels;
          alike.others(tile, done, 2, tile.x0, tile.x1, [&](int from, int some) {
            active_depthwise(both_hidden, tile, done, from - tile.x0, some, both_depthwise, two.data());
            finish(two.data(), some, mixed_at(done, from), rho.data(), eta.data(), result + from * channels);
          });
          alike.repeats(tile, done, 2, tile.x0, tile.x1,
                        [&](int from, int some) { repeat(same.data(), channels, some, result + from * channels); });
        }
      }
    }
  }
};

// Find a pixel that a map repeats all around it, and how far from each pixel all is like it.
struct FindAlike {
  static constexpr int SHORTEST = 16;  // of the runs worth leaving out
  const float* x;
  int height, width, channels;

  bool equal(const float* a, const float* b) const {
    const size_t beginning = LANES * sizeof(float);  // where they differ, they mostly do so here
    return std::memcmp(a, b, beginning) == 0 && std::memcmp(a, b, channels * sizeof(float)) == 0;
  }

  // Return the index of a pixel amid its like, having written `steps`; or -1.
  int64_t operator()(const float* image, uint8_t* steps) const {
    const int64_t like = middle_of_a_run(image);
    if (like < 0) return -1;
    measure(image, image + like * channels, steps);
    const uint8_t* amid = std::max_element(steps, steps + int64_t(height) * width);
    return *amid == Alike::FARTHEST ? amid - steps : -1;
  }

  // Return the middle of the longest run of equal pixels in some of the rows, which must go on above and below; or -1.
  int64_t middle_of_a_run(const float* image) const {
    constexpr int FAR = Alike::FARTHEST - 1;
    int64_t middle = -1;
    for (int y = FAR, longest = SHORTEST; y < height - FAR; y += FAR)
      for (int first = 0, column = 1; column <= width; ++column) {
        const float* here = image + (int64_t(y) * width + column) * channels;
        if (column < width && equal(here, here - channels)) continue;
        const int length = column - first;
        const int64_t amid = int64_t(y) * width + first + length / 2, away = int64_t(FAR) * width;
        first = column;
        if (length <= longest) continue;
        const float* pixel = image + amid * channels;
        if (equal(pixel, pixel - away * channels) && equal(pixel, pixel + away * channels)) longest = length, middle = amid;
      }
    return middle;
  }

  // Write the steps from each pixel to the nearest that differs or lies beyond the image.
  void measure(const float* image, const float* pixel, uint8_t* steps) const {
    auto nearest = [&](int y, int column, int step) {  // beside it and in the row before, in the direction of the step
      int least = Alike::FARTHEST - 1;
      for (int i = -1; i <= 1; ++i) {
        const bool outside = y - step < 0 || y - step >= height || column + i < 0 || column + i >= width;
        least = std::min<int>(least, outside ? 0 : steps[int64_t(y - step) * width + column + i]);
      }
      const int beside = column - step;
      return std::min<int>(least, beside < 0 || beside >= width ? 0 : steps[int64_t(y) * width + beside]) + 1;
    };
    for (int y = 0; y < height; ++y)
      for (int column = 0; column < width; ++column) {
        const int64_t i = int64_t(y) * width + column;
        steps[i] = equal(image + i * channels, pixel) ? nearest(y, column, 1) : 0;
      }
    for (int y = height - 1; y >= 0; --y)
      for (int column = width - 1; column >= 0; --column) {
        uint8_t& here = steps[int64_t(y) * width + column];
        here = std::min<int>(here, nearest(y, column, -1));
      }
  }
};

}  // namespace

extern "C" {

int medfuse_lanes() { return LANES; }

// Write to `repeated` a pixel of each image amid many like it, or -1; write to `around` how far from each pixel everything
// is like that one, see Alike. Returns 0, or 1 if memory ran out.
int medfuse_alike(const float* x, int images, int height, int width, int channels, uint8_t* around, int64_t* repeated, int threads) {
  const FindAlike find{x, height, width, channels};
  const int64_t pixels = int64_t(height) * width;
  return in_parallel(images, threads, [&](int i) {
    const int64_t found = find(x + i * pixels * channels, around + i * pixels);
    repeated[i] = found >= 0 ? i * pixels + found : -1;
  }) ? 0 : 1;
}

// Of the rows from top to bottom: write values, unless there is no place for them; add to sums, (images, C * size + 2 C)
// doubles, see add_products, unless there are none. Returns 0, or 1 if memory ran out.
int medfuse_attend(const float* x, int images, int height, int width, int top, int bottom, int channels, int size, const float* scale,
                   const float* shift, const float* project, const float* depthwise_weights, const uint8_t* around,
                   const int64_t* repeated, float* values, double* sums, int threads) try {
  const Tiling tiling{images, height, width, top, bottom};
  const size_t kinds = sums ? size_t(channels) * size + 2 * channels : 0;
  std::vector<double> parts(kinds * tiling.count());
  const int outputs = (sums ? 2 * channels : 0) + (values ? channels : 0);
  const Attend attend{x, scale, shift, project, depthwise_weights, channels, size, outputs, values, {around, repeated}};
  const bool good = in_parallel(tiling.count(), threads, [&](int i) { attend(tiling[i], sums ? parts.data() + kinds * i : nullptr); });
  for (int i = 0; i < tiling.count(); ++i)
    for (size_t k = 0; k < kinds; ++k) sums[kinds * tiling[i].image + k] += parts[kinds * i + k];
  return good ? 0 : 1;
} catch (const std::bad_alloc&) {
  return 1;
}

// Of the rows from top to bottom: write out.
int medfuse_refine(const float* x, const float* values, const float* attention, int images, int height, int width, int top, int bottom,
                   int channels, int hidden, int partner, const float* scale, const float* shift, const float* project_in,
                   const float* depthwise_weights, const float* project_out, const uint8_t* around, const int64_t* repeated, float* out,
                   int threads) {
  const Tiling tiling{images, height, width, top, bottom};
  const Refine refine{x, values, attention, scale, shift, project_in, depthwise_weights, project_out, channels, hidden, partner, out,
                      {around, repeated}};
  return in_parallel(tiling.count(), threads, [&](int i) { refine(tiling[i]); }) ? 0 : 1;
}

int medfuse_couple(const float* x, int images, int height, int width, int channels, float clamp, const float* mixing, const float* bias,
                   const float* phi_in, const float* phi_depthwise, const float* phi_out, const float* both_in,
                   const float* both_depthwise, const float* rho_out, const float* eta_out, const uint8_t* around,
                   const int64_t* repeated, float* out, int threads) {
  const Tiling tiling{images, height, width, 0, height};
  const Couple couple{x, mixing, bias, phi_in, phi_depthwise, phi_out, both_in, both_depthwise, rho_out, eta_out, channels, clamp, out,
                      {around, repeated}};
  return in_parallel(tiling.count(), threads, [&](int i) { couple(tiling[i]); }) ? 0 : 1;
}

}  // extern "C"
