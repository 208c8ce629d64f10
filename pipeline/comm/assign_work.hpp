#pragma once

#include <span>
#include <vector>

namespace shardquant::comm {

/// Who does which work item: the costliest first, each to the rank with the least load so far
/// (Graham's longest processing time rule: at most 4/3 of the best). A pure function; ties go to
/// the lower index and the lower rank. load: by rank, from earlier assignments; updated. Returns
/// the owner of every item. @pre costs finite, not negative; at least one rank
std::vector<int> assign_work(std::span<const double> costs, std::span<double> load);

}  // namespace shardquant::comm
