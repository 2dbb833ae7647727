// Package version says which build this is, in the same words for every program. The build sets it
// through the linker (see LDFLAGS in the Makefile), because a build without git must work too.
package version

import "runtime"

// Protocol and store versions that this build speaks and writes. They change with the format, not with
// the release.
const (
	// Protocol is the version of the gRPC packages (mss.*.v1).
	Protocol = "v1"
)

var (
	version = "unknown"
	commit  = "unknown"
)

// Version is the tag or the short commit, with "-dirty" when the tree had changes; "unknown" when go
// build ran without the Makefile.
func Version() string { return version }

// Commit is the full commit hash, or "unknown".
func Commit() string { return commit }

// Long is what --version prints after the program's name.
func Long() string {
	return version + " (commit " + commit + ", protocol " + Protocol + ", " + runtime.Version() + ")"
}
