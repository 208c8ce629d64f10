#pragma once

namespace shardquant::commands {

/// Makes writing to a standard stream that the caller closed an error, and not a write into the
/// first file that is opened; a reader that leaves becomes an error of writing, too, and does not
/// end the job. Call before any file is opened.
void guard_standard_streams();

/// Writes out what standard output still holds. @throws Failure(io_error) where any of what was
/// printed could not be written
void require_output_written();

}  // namespace shardquant::commands
