// Call each kernel on numbers that are the same everywhere, and write all that it gives to the standard output, as doubles.

#include <cstdint>
#include <cstdio>
#include <vector>

extern "C" {
int medfuse_alike(const float* x, int images, int height, int width, int channels, uint8_t* around, int64_t* repeated, int threads);
int medfuse_attend(const float* x, int images, int height, int width, int top, int bottom, int channels, int size, const float* scale,
                   const float* shift, const float* project, const float* depthwise_weights, const uint8_t* around,
                   const int64_t* repeated, float* values, double* sums, int threads);
int medfuse_refine(const float* x, const float* values, const float* attention, int images, int height, int width, int top, int bottom,
                   int channels, int hidden, int partner, const float* scale, const float* shift, const float* project_in,
                   const float* depthwise_weights, const float* project_out, const uint8_t* around, const int64_t* repeated, float* out,
                   int threads);
int medfuse_couple(const float* x, int images, int height, int width, int channels, float clamp, const float* mixing, const float* bias,
                   const float* phi_in, const float* phi_depthwise, const float* phi_out, const float* both_in,
                   const float* both_depthwise, const float* rho_out, const float* eta_out, const uint8_t* around,
                   const int64_t* repeated, float* out, int threads);
int medfuse_refine_back(const float* x, const float* values, const float* attention, const float* attention_back, int images, int height,
                        int width, int channels, int hidden, int partner, const float* scale, const float* shift, const float* project_in,
                        const float* depthwise_weights, const float* turned, const float* in_back, const float* out_back,
                        const float* gradient, float* of_attended, float* of_values, double* sums, int threads);
int medfuse_attend_back(const float* x, int images, int height, int width, int channels, int group, const float* scale, const float* shift,
                        const float* project, const float* depthwise_weights, const float* turned, const float* project_back,
                        const float* queries_back, const float* keys_back, const float* squares_back, const float* of_values,
                        const float* of_attended, float* out, double* sums, int threads);
}

namespace {

typedef std::vector<float> Floats;
typedef std::vector<double> Doubles;

constexpr int IMAGES = 2, HEIGHT = 21, WIDTH = 70, C = 32, SIZE = 8, HIDDEN = 64, THREADS = 2;
constexpr int PIXELS = IMAGES * HEIGHT * WIDTH;

// Numbers from -size / 2 to size / 2, by a linear congruence.
Floats some(size_t count, float size = 1.0f) {
  static uint32_t state = 1;
  Floats numbers(count);
  for (float& number : numbers) {
    state = state * 1664525u + 1013904223u;
    number = size * (float(state >> 8) / 16777216.0f - 0.5f);
  }
  return numbers;
}

template <class T>
void tell(const std::vector<T>& numbers) {
  const Doubles wide(numbers.begin(), numbers.end());
  std::fwrite(wide.data(), sizeof(double), wide.size(), stdout);
}

// Maps whose right half repeats one pixel.
Floats with_margin() {
  Floats x = some(size_t(PIXELS) * C, 4.0f);
  for (int p = 0; p < PIXELS; ++p)
    for (int c = 0; c < C && p % WIDTH > WIDTH / 2; ++c) x[size_t(p) * C + c] = 0.1f * c - 1.0f;
  return x;
}

// All of a block and of a node, there and back; `dense` stands for the second form of each.
void go(const Floats& x, bool dense, const uint8_t* around, const int64_t* repeated) {
  const int partner = dense ? HIDDEN / 2 : 0, spreads = dense ? 18 : 9, both = 2 * HIDDEN;
  const Floats scale = some(C), shift = some(C), project = some(3 * C * C, 0.5f), spread = some(27 * C), in_parts = some(108 * C * C, 0.2f);
  Floats values(size_t(PIXELS) * C), out(values.size()), of_attended(values.size()), of_values(values.size());
  Doubles sums(IMAGES * (C * SIZE + 2 * C));
  medfuse_attend(x.data(), IMAGES, HEIGHT, WIDTH, 0, HEIGHT, C, SIZE, scale.data(), shift.data(), dense ? in_parts.data() : project.data(),
                 dense ? nullptr : spread.data(), around, repeated, values.data(), sums.data(), THREADS);
  tell(values), tell(sums);

  const Floats attention = some(IMAGES * C * C, 0.3f), in = some(C * both, 0.3f), gated = some(18 * both, 0.5f), leave = some(HIDDEN * C, 0.3f);
  const float* moved = dense ? nullptr : shift.data();
  medfuse_refine(x.data(), values.data(), attention.data(), IMAGES, HEIGHT, WIDTH, 0, HEIGHT, C, HIDDEN, partner, scale.data(), moved, in.data(),
                 gated.data(), leave.data(), around, repeated, out.data(), THREADS);
  tell(out);

  const Floats mixing = some(C * C, 0.4f), bias = some(C), first = some(C / 2 * C, 0.5f), phi = some(9 * C, 0.5f), second = some(C * C / 2, 0.5f);
  const Floats third = some(C * C, 0.5f), two = some(18 * C, 0.5f), rho = some(C * C / 2, 0.2f), eta = some(C * C / 2, 0.2f);
  medfuse_couple(x.data(), IMAGES, HEIGHT, WIDTH, C, dense ? 1.5f : 0.0f, mixing.data(), bias.data(), first.data(), phi.data(), second.data(),
                 third.data(), two.data(), rho.data(), eta.data(), around, repeated, out.data(), THREADS);
  tell(out);

  const Floats gradient = some(x.size()), attention_back = some(IMAGES * C * C, 0.3f), turned = some(18 * both, 0.5f);
  const Floats in_back = some(C * both, 0.3f), out_back = some(HIDDEN * C, 0.3f);
  Doubles of_weights(IMAGES * (2 * C + C * both + spreads * both + HIDDEN * C + C * C));
  medfuse_refine_back(x.data(), values.data(), attention.data(), attention_back.data(), IMAGES, HEIGHT, WIDTH, C, HIDDEN, partner, scale.data(),
                      moved, in.data(), gated.data(), turned.data(), in_back.data(), out_back.data(), gradient.data(), of_attended.data(),
                      of_values.data(), of_weights.data(), THREADS);
  tell(of_attended), tell(of_values), tell(of_weights);

  const Floats back = some(3 * C * C, 0.3f), spread_back = some(27 * C, 0.5f);
  const Floats queries = some(IMAGES * C * SIZE, 0.1f), keys = some(IMAGES * C * SIZE, 0.1f), squares = some(IMAGES * 2 * C, 0.1f);
  Doubles of_projection(IMAGES * (2 * C + 3 * C * C + 27 * C));
  medfuse_attend_back(x.data(), IMAGES, HEIGHT, WIDTH, C, SIZE, scale.data(), shift.data(), project.data(), spread.data(), spread_back.data(),
                      back.data(), queries.data(), keys.data(), squares.data(), of_values.data(), of_attended.data(), out.data(),
                      of_projection.data(), THREADS);
  tell(out), tell(of_projection);
}

}  // namespace

int main() {
  const Floats x = with_margin();
  std::vector<uint8_t> around(PIXELS);
  std::vector<int64_t> repeated(IMAGES);
  medfuse_alike(x.data(), IMAGES, HEIGHT, WIDTH, C, around.data(), repeated.data(), THREADS);
  tell(around), tell(repeated);
  for (const bool dense : {false, true}) {
    go(x, dense, nullptr, nullptr);
    go(x, dense, around.data(), repeated.data());
  }
}
