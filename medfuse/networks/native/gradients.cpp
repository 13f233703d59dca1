// Step 5 of 8, network: the way back through a block, for training on CPUs.
//
//   medfuse_refine_back   from the gradient of what medfuse_refine gives to those of all that it takes
//   medfuse_attend_back   the same for medfuse_attend with a depthwise convolution
//
// Both go back through norm -> 1x1 -> depthwise 3x3. Nothing is kept from the way there: what the gradients need is made
// again, in the same pass over the image. How they work on maps, see parts.h.

#include "parts.h"

namespace {

constexpr int NARROW = 64;  // columns of a tile: more is kept in the cache than on the way there

// Add to g (P x NV vectors) the products of a (pixels x P) with b (pixels x NV vectors), summed over pixels.
template <int P, int NV>
inline void outer_block(const float* a, int a_step, const float* b, int b_step, int pixels, float* g, int g_step) {
  Vec acc[P][NV] = {};
  for (int k = 0; k < pixels; ++k, a += a_step, b += b_step) {
    Vec values[NV];
    for (int v = 0; v < NV; ++v) values[v] = load(b + v * LANES);
    for (int p = 0; p < P; ++p)
      for (int v = 0; v < NV; ++v) acc[p][v] += a[p] * values[v];
  }
#pragma GCC unroll 8
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) put<ADD>(g + p * g_step + v * LANES, acc[p][v], g + p * g_step + v * LANES);
}

template <int NV>
void outer_panel(In a, int inputs, In b, int pixels, float* g, int g_step) {
  int i = 0;
  for (; i + PIXELS <= inputs; i += PIXELS) outer_block<PIXELS, NV>(a.first + i, a.step, b.first, b.step, pixels, g + i * g_step, g_step);
  for (; i + 2 <= inputs; i += 2) outer_block<2, NV>(a.first + i, a.step, b.first, b.step, pixels, g + i * g_step, g_step);
  for (; i < inputs; ++i) outer_block<1, NV>(a.first + i, a.step, b.first, b.step, pixels, g + i * g_step, g_step);
}

// Add to g (inputs x outputs) the gradient of a matrix, from what went in (a) and the gradient of what came out (b).
void outer(In a, int inputs, In b, int outputs, int pixels, float* g) {
  int n = 0;
  for (; n + WIDEST * LANES <= outputs; n += WIDEST * LANES) outer_panel<WIDEST>(a, inputs, b.from(0, n), pixels, g + n, outputs);
  for (; n < outputs; n += LANES) outer_panel<1>(a, inputs, b.from(0, n), pixels, g + n, outputs);
}

// Add to acc the gradient of the depthwise weights of one vector of channels. Unrolled whole, which keeps the sums in registers;
// as loops, GCC 12 leaves out some of the products.
template <int P>
inline void spread_back(float* const rows[3], int x, int from, const float* gradient, int channels, Vec acc[9]) {
  Vec of[P];
  for (int p = 0; p < P; ++p) of[p] = load(gradient + (x + p) * channels);
#pragma GCC unroll 8
  for (int p = 0; p < P + 2; ++p)
#pragma GCC unroll 3
    for (int y = 0; y < 3; ++y) {
      const Vec value = load(rows[y] + (x + p) * channels + from);
#pragma GCC unroll 3
      for (int i = 0; i < 3; ++i)
        if (p - i >= 0 && p - i < P) acc[y * 3 + i] += value * of[p - i];
    }
}

// Add to g (9 x channels, and as many again with a partner) the gradient of depthwise weights; arguments as of depthwise().
void depthwise_back(float* const rows[3], int pixels, int channels, int partner, const float* gradient, float* g) {
  const int run = partner > 0 ? partner : channels, inputs = partner > 0 ? 2 : 1;
  for (int c = 0, away = partner, end = run; c < channels; c += LANES) {
    if (c == end) away = -away, end += run;
    for (int input = 0; input < inputs; ++input) {
      Vec acc[9] = {};
      int x = 0;
      for (; x + PIXELS <= pixels; x += PIXELS) spread_back<PIXELS>(rows, x, c + input * away, gradient + c, channels, acc);
      for (; x < pixels; ++x) spread_back<1>(rows, x, c + input * away, gradient + c, channels, acc);
      float* to = g + size_t(input) * 9 * channels + c;
      for (int i = 0; i < 9; ++i) put<ADD>(to + i * channels, acc[i], to + i * channels);
    }
  }
}

// From the gradient of normalized pixels to that of the pixels, added to a base; add those of scale and shift.
void normalize_back(const float* x, const float* gradient, int pixels, int channels, const float* scale, bool centered, const float* base,
                    float* out, float* of_scale, float* of_shift) {
  for (; pixels-- > 0; x += channels, gradient += channels, base += channels, out += channels) {
    const Normal normal(x, channels);
    const float middle = centered ? normal.mean : 0.0f;
    Vec total{}, along{};
    for (int c = 0; c < channels; c += LANES) {
      const Vec value = (load(x + c) - middle) * normal.inverse, of_value = load(gradient + c), weighted = of_value * load(scale + c);
      total += weighted;
      along += weighted * value;
      store(of_scale + c, load(of_scale + c) + of_value * value);
      store(of_shift + c, load(of_shift + c) + of_value);
    }
    const float mean = centered ? sum(total) / channels : 0.0f, share = sum(along) / channels * normal.inverse;
    for (int c = 0; c < channels; c += LANES) {
      const Vec weighted = load(gradient + c) * load(scale + c);
      store(out + c, load(base + c) + normal.inverse * (weighted - mean - (load(x + c) - normal.mean) * share));
    }
  }
}

// The way back through norm -> 1x1 -> depthwise 3x3, of which two parts are left open: what the norm sees and what follows.
struct SpreadBack {
  const float *scale, *shift, *project, *depthwise_weights, *turned, *project_back;  // turned: from outputs of the 3x3 to its inputs
  int channels, hidden, partner;
  bool centered() const { return shift != nullptr; }

  // What is summed up: the gradients of scale, shift, project (channels x hidden) and depthwise weights (9 x hidden, or twice).
  size_t sums() const { return 2 * channels + size_t(channels) * hidden + size_t(partner > 0 ? 18 : 9) * hidden; }

  // enter(y, first column, count, where) makes what the norm sees; turn(y, first, count, rows, where) makes the gradient of the
  // spread maps, of which `rows` holds three rows of inputs; leave(y, what the norm saw, gradient of what it made) ends a row.
  template <class Enter, class Turn, class Leave>
  void operator()(const Tile& tile, float* sums, Enter enter, Turn turn, Leave leave) const {
    const int columns = tile.columns(), wide = columns + 4;
    float *of_project = sums + 2 * channels, *of_depthwise = of_project + size_t(channels) * hidden;
    Rows seen(wide, channels), normal(wide, channels), ring(wide, hidden), turned_ring(columns + 2, hidden);
    Buffer back(size_t(columns) * hidden), of_normal(size_t(columns) * channels);
    for (int y = tile.y0 - 2; y <= tile.y1 + 1; ++y) {
      padded_row(tile, y, 2, hidden, ring[y], [&](int first, int count, float* where) {
        const int begin = (first - tile.x0 + 2) * channels;
        enter(y, first, count, seen[y] + begin);
        normalize(seen[y] + begin, count, channels, scale, shift, normal[y] + begin);
        multiply({normal[y] + begin, channels}, count, project, channels, hidden, {where, hidden});
      });
      if (y - 1 < tile.y0 - 1) continue;
      padded_row(tile, y - 1, 1, hidden, turned_ring[y - 1], [&](int first, int count, float* where) {
        float* rows[3];
        for (int i = 0; i < 3; ++i) rows[i] = ring[y - 2 + i] + (first - tile.x0 + 1) * hidden;
        turn(y - 1, first, count, rows, where);
      });
      if (y - 1 >= tile.y0 && y - 1 < tile.y1) {
        float* rows[3];
        for (int i = 0; i < 3; ++i) rows[i] = ring[y - 2 + i] + hidden;
        depthwise_back(rows, columns, hidden, partner, turned_ring[y - 1] + hidden, of_depthwise);
      }
      if (y - 2 < tile.y0) continue;
      float* rows[3];
      for (int i = 0; i < 3; ++i) rows[i] = turned_ring[y - 3 + i];
      depthwise(rows, columns, hidden, turned, partner, back.data());
      outer({normal[y - 2] + 2 * channels, channels}, channels, {back.data(), hidden}, hidden, columns, of_project);
      multiply({back.data(), hidden}, columns, project_back, hidden, channels, {of_normal.data(), channels});
      leave(y - 2, seen[y - 2] + 2 * channels, of_normal.data());
    }
  }

  void through_norm(const float* seen, const float* of_normal, int pixels, const float* base, float* out, float* sums) const {
    normalize_back(seen, of_normal, pixels, channels, scale, centered(), base, out, sums, sums + channels);
  }
};

struct RefineBack {
  SpreadBack inner;
  const float *x, *values, *attention, *attention_back, *out_back, *gradient;
  float *of_attended, *of_values;

  int gated() const { return inner.hidden / 2; }
  size_t sums() const { return inner.sums() + size_t(gated()) * inner.channels + size_t(inner.channels) * inner.channels; }

  void operator()(const Tile& tile, float* sums) const {
    const int channels = inner.channels, columns = tile.columns(), wide = columns + 2, both = inner.hidden;
    const size_t matrix = size_t(tile.image) * channels * channels;
    float *of_out = sums + inner.sums(), *of_matrix = of_out + size_t(gated()) * channels;
    Buffer of_gated(size_t(wide) * gated()), made(size_t(wide) * gated()), few(size_t(GATED_PIXELS) * both);
    inner(
        tile, sums,
        [&](int y, int first, int count, float* where) {
          const size_t begin = tile.pixel(y, first) * channels;
          multiply<ADD>({values + begin, channels}, count, attention + matrix, channels, channels, {where, channels}, {x + begin, channels});
        },
        [&](int y, int first, int count, float* const rows[3], float* where) {
          multiply({gradient + tile.pixel(y, first) * channels, channels}, count, out_back, channels, gated(), {of_gated.data(), gated()});
          for (int p = 0; p < count; p += GATED_PIXELS) {
            const int some = std::min(GATED_PIXELS, count - p);
            float* near[3];
            for (int i = 0; i < 3; ++i) near[i] = rows[i] + p * both;
            depthwise(near, some, both, inner.depthwise_weights, inner.partner, few.data());
            gate_back(few.data(), of_gated.data() + p * gated(), some, made.data() + p * gated(), where + p * both);
          }
          if (y < tile.y0 || y >= tile.y1) return;
          outer({made.data() + (tile.x0 - first) * gated(), gated()}, gated(), {gradient + tile.pixel(y, tile.x0) * channels, channels}, channels,
                columns, of_out);
        },
        [&](int y, const float* seen, const float* of_normal) {
          const size_t begin = tile.pixel(y, tile.x0) * channels;
          float* to = of_attended + begin;
          inner.through_norm(seen, of_normal, columns, gradient + begin, to, sums);
          outer({to, channels}, channels, {values + begin, channels}, channels, columns, of_matrix);
          multiply({to, channels}, columns, attention_back + matrix, channels, channels, {of_values + begin, channels});
        });
  }

  // From the gradient of gelu(a) * b to those of a and b; also make the product.
  void gate_back(const float* spread, const float* of_gated, int pixels, float* made, float* to) const {
    const int half = gated();
    for (; pixels-- > 0; spread += 2 * half, to += 2 * half, of_gated += half, made += half)
      for (int c = 0; c < half; c += LANES) {
        const Vec value = load(spread + half + c), of = load(of_gated + c);
        Vec gate, slope;
        gelu_and_slope(load(spread + c), gate, slope);
        store(made + c, gate * value);
        store(to + c, of * value * slope);
        store(to + half + c, of * gate);
      }
  }
};

struct AttendBack {
  SpreadBack inner;
  const float *x, *of_values, *of_attended;
  const float *queries_back, *keys_back;  // of each image, the gradients of the products, in panels of `group` channels
  const float* squares_back;              // of each image, twice those of the squares
  int group;
  float* out;

  size_t sums() const { return inner.sums(); }

  void operator()(const Tile& tile, float* sums) const {
    const int channels = inner.channels, all_three = inner.hidden;
    const float* twice = squares_back + size_t(tile.image) * 2 * channels;
    Buffer few(size_t(GATED_PIXELS) * all_three);
    inner(
        tile, sums,
        [&](int y, int first, int count, float* where) {
          std::memcpy(where, x + tile.pixel(y, first) * channels, size_t(count) * channels * sizeof(float));
        },
        [&](int y, int first, int count, float* const rows[3], float* where) {
          const float* of_value = of_values + tile.pixel(y, first) * channels;
          for (int p = 0; p < count; p += GATED_PIXELS) {
            const int some = std::min(GATED_PIXELS, count - p);
            float* near[3];
            for (int i = 0; i < 3; ++i) near[i] = rows[i] + p * all_three;
            depthwise(near, some, all_three, inner.depthwise_weights, 0, few.data());
            for (int i = 0; i < some; ++i) {
              float* to = where + (p + i) * all_three;
              for (int c = 0; c < 2 * channels; c += LANES) store(to + c, load(few.data() + i * all_three + c) * load(twice + c));
              std::memcpy(to + 2 * channels, of_value + (p + i) * channels, channels * sizeof(float));
            }
            of_products(tile, few.data(), some, where + p * all_three);
          }
        },
        [&](int y, const float* seen, const float* of_normal) {
          const size_t begin = tile.pixel(y, tile.x0) * channels;
          inner.through_norm(seen, of_normal, tile.columns(), of_attended + begin, out + begin, sums);
        });
  }

  // Add what queries and keys owe to their products.
  void of_products(const Tile& tile, const float* qk, int pixels, float* to) const {
    const int channels = inner.channels, step = inner.hidden;
    for (int begin = 0; begin < channels; begin += group) {
      const size_t matrix = (size_t(tile.image) * channels + begin) * group;
      const Out of_queries{to + begin, step}, of_keys{to + channels + begin, step};
      multiply<ADD>({qk + channels + begin, step}, pixels, queries_back + matrix, group, group, of_queries, {of_queries.first, step});
      multiply<ADD>({qk + begin, step}, pixels, keys_back + matrix, group, group, of_keys, {of_keys.first, step});
    }
  }
};

// Go over all tiles, and add up what they sum, image by image, in a fixed order.
template <class Way>
int sum_over_tiles(const Way& way, int images, int height, int width, double* sums, int threads) try {
  const Tiling tiling{images, height, width, 0, height, NARROW};
  const size_t kinds = way.sums();
  std::vector<float> parts(kinds * tiling.count());
  const bool good = in_parallel(tiling.count(), threads, [&](int i) { way(tiling[i], parts.data() + kinds * i); });
  for (int i = 0; i < tiling.count(); ++i)
    for (size_t k = 0; k < kinds; ++k) sums[kinds * tiling[i].image + k] += parts[kinds * i + k];
  return good ? 0 : 1;
} catch (const std::bad_alloc&) {
  return 1;
}

}  // namespace

extern "C" {

// Write the gradients of what was attended and of the values; add to sums, for each image, those of scale, shift, project_in
// (channels x 2 hidden), depthwise weights (9 x 2 hidden, or 18), project_out (hidden x channels) and attention (channels x channels).
int medfuse_refine_back(const float* x, const float* values, const float* attention, const float* attention_back, int images, int height,
                        int width, int channels, int hidden, int partner, const float* scale, const float* shift, const float* project_in,
                        const float* depthwise_weights, const float* turned, const float* in_back, const float* out_back,
                        const float* gradient, float* of_attended, float* of_values, double* sums, int threads) {
  const SpreadBack inner{scale, shift, project_in, depthwise_weights, turned, in_back, channels, 2 * hidden, partner};
  return sum_over_tiles(RefineBack{inner, x, values, attention, attention_back, out_back, gradient, of_attended, of_values}, images, height,
                        width, sums, threads);
}

// Write the gradient of x; add to sums, for each image, those of scale, shift, project (channels x 3 channels) and depthwise weights.
int medfuse_attend_back(const float* x, int images, int height, int width, int channels, int group, const float* scale, const float* shift,
                        const float* project, const float* depthwise_weights, const float* turned, const float* project_back,
                        const float* queries_back, const float* keys_back, const float* squares_back, const float* of_values,
                        const float* of_attended, float* out, double* sums, int threads) {
  const SpreadBack inner{scale, shift, project, depthwise_weights, turned, project_back, channels, 3 * channels, 0};
  return sum_over_tiles(AttendBack{inner, x, of_values, of_attended, queries_back, keys_back, squares_back, group, out}, images, height,
                        width, sums, threads);
}

}  // extern "C"
