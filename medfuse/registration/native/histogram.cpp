// Mutual information of two scans at many points, and its derivative by where the points lie.
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

}  // namespace

extern "C" {

// Mutual information in nats, each moving value shared among four bins by a cubic B-spline, and its derivatives.
//
// points: (count, 3). fixed_bins: (count,), 0 .. bins - 1. to_index: (3, 4), from points to voxels of the scan.
// shape: (3,), each at least 2. room: 4 * count + 2 * bins * (bins + 3) + bins + 3 numbers to work in.
// gradient: (3, 4) by the entries of to_index, or null. forces: (count, 3) by each point's voxel position, or null.
// No number comes back where a fixed bin is out of range.
double medfuse_information(const double* points, const Index* fixed_bins, Index count, const double* to_index,
                           const float* values, const Index* shape, Index bins, double* room, double* gradient,
                           double* forces) {
    const Scan scan{values, shape};
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

// Joint histogram, each moving value shared between two bins; returns how many points lie inside the scan.
//
// As above, but an axis of the scan may have one voxel, and it is -1 that comes back where a bin is out of range.
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
