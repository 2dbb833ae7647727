package proc

import (
	"os"
	"strconv"
	"strings"
)

// Child is the living child of a process that was started with that first argument, as a daemon's parts are; 0 is none.
func Child(parent int, argument string) int {
	for pid, s := range descendants(parent) {
		if s.parent != parent {
			continue
		}
		data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if err != nil {
			continue // it has ended meanwhile
		}
		if args := strings.Split(string(data), "\x00"); len(args) > 1 && args[1] == argument {
			return pid
		}
	}
	return 0
}
