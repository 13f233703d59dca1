// Mutual information of two scans at many points, its derivative by where the points lie, and the climb along it.
//
// Sums are taken point after point, in double precision, so every number of threads gives the same bits.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace {

using Index = std::int64_t;

// A scan, (X, Y, Z) with z running fastest, values scaled to bins.
struct Scan {
    const float* values;
    const Index* shape;
};

// Where a point falls in a scan: the corner below it, how far it lies beyond, and whether it lies between centers.
struct Place {
    Index corner[3];
    double share[3];
    bool within[3];
};

void transform(const double* matrix, const double* point, double* index) {
    for (int axis = 0; axis < 3; ++axis) {
        const double* row = matrix + 4 * axis;
        index[axis] = row[0] * point[0] + row[1] * point[1] + row[2] * point[2] + row[3];
    }
}

// Points beyond the outermost centers are put on the border; a position that is no number, at the first center.
Place place(const Scan& scan, const double* index) {
    Place found;
    for (int axis = 0; axis < 3; ++axis) {
        const double end = static_cast<double>(scan.shape[axis] - 1);
        const double inside = index[axis] > 0.0 ? std::min(index[axis], end) : 0.0;
        const Index below = std::min(static_cast<Index>(inside), std::max<Index>(scan.shape[axis] - 2, 0));
        found.corner[axis] = below;
        found.share[axis] = inside - static_cast<double>(below);
        found.within[axis] = inside == index[axis];
    }
    return found;
}

// Linear interpolation; an axis of one voxel has no upper neighbor.
double look_up(const Scan& scan, const Place& at, double* slope) {
    const Index plane = scan.shape[1] * scan.shape[2], row = scan.shape[2];
    const float* start = scan.values + at.corner[0] * plane + at.corner[1] * row + at.corner[2];
    const Index x = scan.shape[0] > 1 ? plane : 0, y = scan.shape[1] > 1 ? row : 0, z = scan.shape[2] > 1 ? 1 : 0;
    const double u = at.share[0], v = at.share[1], w = at.share[2];
    const double c000 = start[0], c001 = start[z], c010 = start[y], c011 = start[y + z];
    const double d00 = start[x] - c000, d01 = start[x + z] - c001;
    const double d10 = start[x + y] - c010, d11 = start[x + y + z] - c011;
    const double c00 = c000 + u * d00, c01 = c001 + u * d01, c10 = c010 + u * d10, c11 = c011 + u * d11;
    const double low = c00 + v * (c10 - c00), high = c01 + v * (c11 - c01);
    if (slope != nullptr) {
        slope[0] = at.within[0] ? (1 - v) * ((1 - w) * d00 + w * d01) + v * ((1 - w) * d10 + w * d11) : 0.0;
        slope[1] = at.within[1] ? (1 - w) * (c10 - c00) + w * (c11 - c01) : 0.0;
        slope[2] = at.within[2] ? high - low : 0.0;
    }
    return low + w * (high - low);
}

// A value between its bins: the bin below it and how far it lies beyond. What is no number falls into the first.
struct Bin {
    Index lower;
    double share;
};

Bin bin_of(double value, Index last) {
    const double safe = value > 0.0 ? value : 0.0;
    const Index lower = safe < static_cast<double>(last) ? static_cast<Index>(safe) : last;
    return {lower, std::min(safe - static_cast<double>(lower), 1.0)};
}

// The logarithm of the joint over the moving frequency, cell by cell; returns the mutual information in nats.
double likelier(const double* joint, Index bins, Index width, double* moving_total, double* table) {
    std::fill(moving_total, moving_total + width, 0.0);
    for (Index cell = 0; cell < bins * width; ++cell) moving_total[cell % width] += joint[cell];
    double information = 0.0;
    for (Index fixed = 0; fixed < bins; ++fixed) {
        double total = 0.0, sum = 0.0;
        for (Index moving = 0; moving < width; ++moving) {
            const double share = joint[fixed * width + moving];
            const double value = share > 0.0 ? std::log(share / moving_total[moving]) : 0.0;
            table[fixed * width + moving] = value;
            total += share;
            sum += share * value;
        }
        information += sum - (total > 0.0 ? total * std::log(total) : 0.0);
    }
    return information;
}

// Points of the fixed scan with their bins there, and the scan in which they are looked up.
//
// points: (count, 3). fixed_bins: (count,), 0 .. bins - 1. room: 4 * count + 2 * bins * (bins + 3) + bins + 3 numbers
// to work in.
struct Samples {
    const double* points;
    const Index* fixed_bins;
    Index count;
    Scan scan;
    Index bins;
    double* room;
};

// Mutual information in nats, each moving value shared among four bins by a cubic B-spline, and its derivatives.
//
// to_index: (3, 4), from points to voxels of the scan. gradient: (3, 4) by the entries of to_index, or null.
// forces: (count, 3) by each point's voxel position, or null. No number comes back where a bin is out of range.
double information_of(const Samples& samples, const double* to_index, double* gradient, double* forces) {
    const auto& [points, fixed_bins, count, scan, bins, room] = samples;
    const Index width = bins + 3;
    double *looked_up = room, *joint = room + 4 * count, *table = joint + bins * width, *total = table + bins * width;
    std::fill(joint, joint + bins * width, 0.0);
    for (Index n = 0; n < count; ++n) {
        if (fixed_bins[n] < 0 || fixed_bins[n] >= bins) return std::numeric_limits<double>::quiet_NaN();
        double index[3], *found = looked_up + 4 * n;
        transform(to_index, points + 3 * n, index);
        found[0] = look_up(scan, place(scan, index), found + 1);
        const Bin bin = bin_of(found[0], bins - 1);
        const double t = bin.share, s = 1.0 - t;
        double* cell = joint + fixed_bins[n] * width + bin.lower;
        cell[0] += s * s * s;
        cell[1] += (3.0 * t - 6.0) * t * t + 4.0;
        cell[2] += ((3.0 - 3.0 * t) * t + 3.0) * t + 1.0;
        cell[3] += t * t * t;
    }
    const double whole = 1.0 / (6.0 * static_cast<double>(count));
    for (Index cell = 0; cell < bins * width; ++cell) joint[cell] *= whole;
    const double information = likelier(joint, bins, width, total, table);
    double sums[12] = {};
    for (Index n = 0; n < count; ++n) {
        const double *found = looked_up + 4 * n, *point = points + 3 * n;
        const Bin bin = bin_of(found[0], bins - 1);
        const double t = bin.share, s = 1.0 - t;
        const double* cell = table + fixed_bins[n] * width + bin.lower;
        const double force = 3.0 * whole * (t * t * cell[3] - s * s * cell[0] + (3.0 * t - 4.0) * t * cell[1] +
                                            ((2.0 - 3.0 * t) * t + 1.0) * cell[2]);
        for (int axis = 0; axis < 3; ++axis) {
            const double part = force * found[1 + axis];
            if (forces != nullptr) forces[3 * n + axis] = part;
            double* sum = sums + 4 * axis;
            sum[0] += part * point[0];
            sum[1] += part * point[1];
            sum[2] += part * point[2];
            sum[3] += part;
        }
    }
    if (gradient != nullptr) std::copy(sums, sums + 12, gradient);
    return information;
}

// What is climbed: six numbers, a rotation vector about a center times a radius and a shift, all in mm.
constexpr int kNumbers = 6;

struct Lever {
    const double* center;
    double radius;
};

// The turn by a rotation vector, (3, 3), and how it moves on, (3, 3), as the vector changes.
void turn_by(const double* vector, double* turn, double* progress) {
    const double x = vector[0], y = vector[1], z = vector[2], angle = std::sqrt(x * x + y * y + z * z);
    const bool near = angle < 1e-4;  // below, the quotients would lose their digits
    const double sine = near ? 1.0 - angle * angle / 6.0 : std::sin(angle) / angle;
    const double bend = near ? 0.5 - angle * angle / 24.0 : (1.0 - std::cos(angle)) / (angle * angle);
    const double rest = near ? 1.0 / 6.0 : (1.0 - sine) / (angle * angle);
    const double cross[9] = {0.0, -z, y, z, 0.0, -x, -y, x, 0.0};
    for (int row = 0; row < 3; ++row)
        for (int column = 0; column < 3; ++column) {
            const double square = vector[row] * vector[column] - (row == column ? angle * angle : 0.0);
            const double still = row == column ? 1.0 : 0.0, once = cross[3 * row + column];
            turn[3 * row + column] = still + sine * once + bend * square;
            progress[3 * row + column] = still + bend * once + rest * square;
        }
}

// The negative of the mutual information under a change of the pose, and its derivatives by the six numbers.
double cost_of(const Samples& samples, const double* to_index, const Lever& lever, const double* change,
               double* gradient) {
    double vector[3], turn[9], progress[9], motion[12], moved[12], by_entries[12];
    for (int axis = 0; axis < 3; ++axis) vector[axis] = change[axis] / lever.radius;
    turn_by(vector, turn, progress);
    for (int row = 0; row < 3; ++row) {
        motion[4 * row + 3] = lever.center[row] + change[3 + row];
        for (int column = 0; column < 3; ++column) {
            motion[4 * row + column] = turn[3 * row + column];
            motion[4 * row + 3] -= turn[3 * row + column] * lever.center[column];
        }
    }
    for (int row = 0; row < 3; ++row)
        for (int column = 0; column < 4; ++column) {
            double sum = column == 3 ? to_index[4 * row + 3] : 0.0;
            for (int k = 0; k < 3; ++k) sum += to_index[4 * row + k] * motion[4 * k + column];
            moved[4 * row + column] = sum;
        }
    const double information = information_of(samples, moved, by_entries, nullptr);
    double twist[9] = {}, torque[3];
    for (int row = 0; row < 3; ++row) {
        double pull[4] = {};
        for (int column = 0; column < 4; ++column)
            for (int k = 0; k < 3; ++k) pull[column] += to_index[4 * k + row] * by_entries[4 * k + column];
        gradient[3 + row] = -pull[3];
        for (int column = 0; column < 3; ++column)
            for (int k = 0; k < 3; ++k)
                twist[3 * row + column] += (pull[k] - pull[3] * lever.center[k]) * turn[3 * column + k];
    }
    torque[0] = twist[7] - twist[5], torque[1] = twist[2] - twist[6], torque[2] = twist[3] - twist[1];
    for (int column = 0; column < 3; ++column) {
        gradient[column] = 0.0;
        for (int k = 0; k < 3; ++k) gradient[column] -= torque[k] * progress[3 * k + column] / lever.radius;
    }
    return -information;
}

double dot(const double* first, const double* second) {
    double sum = 0.0;
    for (int n = 0; n < kNumbers; ++n) sum += first[n] * second[n];
    return sum;
}

double largest(const double* numbers) {
    double most = 0.0;
    for (int n = 0; n < kNumbers; ++n) most = std::max(most, std::abs(numbers[n]));
    return most;
}

// The update of the inverse Hessian by Broyden, Fletcher, Goldfarb and Shanno; begun with the curvature just seen.
void learn(double* inverse, bool first, const double* moved, const double* turned) {
    const double along = dot(moved, turned), scale = along / dot(turned, turned);
    double back[kNumbers];
    if (first)
        for (int n = 0; n < kNumbers * kNumbers; ++n) inverse[n] = n % (kNumbers + 1) == 0 ? scale : 0.0;
    for (int row = 0; row < kNumbers; ++row) back[row] = dot(inverse + kNumbers * row, turned);
    const double weight = (1.0 + dot(turned, back) / along) / along;
    for (int row = 0; row < kNumbers; ++row)
        for (int column = 0; column < kNumbers; ++column)
            inverse[kNumbers * row + column] +=
                weight * moved[row] * moved[column] - (back[row] * moved[column] + moved[row] * back[column]) / along;
}

}  // namespace

extern "C" {

// Mutual information; see information_of. shape: (3,), each at least 2.
double medfuse_information(const double* points, const Index* fixed_bins, Index count, const double* to_index,
                           const float* values, const Index* shape, Index bins, double* room, double* gradient,
                           double* forces) {
    return information_of({points, fixed_bins, count, {values, shape}, bins, room}, to_index, gradient, forces);
}

// Climbs from a pose to the optimum of mutual information nearby; returns false where a bin is out of range.
//
// The first arguments are those of medfuse_information. center: (3,). change: (6,) where to begin, set to where it ends.
// It takes at most so many iterations, the first of which changes no number by more than first_step, and ends once one
// changes none by more than last_step, or gains less than least_gain nats. Steps are halved until they gain enough.
bool medfuse_climb(const double* points, const Index* fixed_bins, Index count, const double* to_index,
                   const float* values, const Index* shape, Index bins, double* room, const double* center,
                   double radius, double first_step, double last_step, double least_gain, Index iterations,
                   double* change) {
    const Samples samples{points, fixed_bins, count, {values, shape}, bins, room};
    const Lever lever{center, radius};
    double gradient[kNumbers], inverse[kNumbers * kNumbers];
    double value = cost_of(samples, to_index, lever, change, gradient);
    bool first = true;
    for (Index step = 0; step < iterations && largest(gradient) > 0.0; ++step) {
        double direction[kNumbers], there[kNumbers], new_gradient[kNumbers], new_value = value, length = 1.0;
        for (int n = 0; n < kNumbers; ++n)
            direction[n] = first ? -gradient[n] * first_step / largest(gradient) : -dot(inverse + kNumbers * n, gradient);
        const double enough = 1e-4 * dot(direction, gradient);
        bool lower = false;
        for (int halving = 0; halving < 8 && !lower; ++halving, length /= 2.0) {
            for (int n = 0; n < kNumbers; ++n) there[n] = change[n] + length * direction[n];
            new_value = cost_of(samples, to_index, lever, there, new_gradient);
            lower = new_value <= value + length * enough;
        }
        if (!lower) break;
        double moved[kNumbers], turned[kNumbers];
        for (int n = 0; n < kNumbers; ++n) {
            moved[n] = there[n] - change[n];
            turned[n] = new_gradient[n] - gradient[n];
            change[n] = there[n];
            gradient[n] = new_gradient[n];
        }
        const double gain = value - new_value;
        value = new_value;
        if (gain < least_gain || largest(moved) < last_step) break;
        if (dot(moved, turned) > 0.0) {
            learn(inverse, first, moved, turned);
            first = false;
        }
    }
    return !std::isnan(value);
}

// Joint histogram, each moving value shared between two bins; returns how many points lie inside the scan.
//
// As for medfuse_information, but an axis of the scan may have one voxel, and where a bin is out of range -1 comes back.
// counts: (bins, bins), set to the histogram.
Index medfuse_joint_counts(const double* points, const Index* fixed_bins, Index count, const double* to_index,
                           const float* values, const Index* shape, Index bins, double* counts) {
    const Scan scan{values, shape};
    std::fill(counts, counts + bins * bins, 0.0);
    Index inside = 0;
    for (Index n = 0; n < count; ++n) {
        if (fixed_bins[n] < 0 || fixed_bins[n] >= bins) return -1;
        double index[3];
        transform(to_index, points + 3 * n, index);
        bool seen = true;
        for (int axis = 0; axis < 3; ++axis)
            seen = seen && index[axis] >= -0.5 && index[axis] <= static_cast<double>(shape[axis]) - 0.5;
        if (!seen) continue;
        ++inside;
        const Bin bin = bin_of(look_up(scan, place(scan, index), nullptr), bins - 2);
        double* cell = counts + fixed_bins[n] * bins + bin.lower;
        cell[0] += 1.0 - bin.share;
        cell[1] += bin.share;
    }
    return inside;
}

}  // extern "C"
