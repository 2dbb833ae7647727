package proc

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Busy is the processor time that all processors of the machine have worked since it started, whoever it was for.
func Busy() (time.Duration, error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read processors: %w", err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return parseBusy(line)
}

// parseBusy reads the first line of /proc/stat: user nice system idle iowait irq softirq steal, and guest times, which
// user and nice include.
func parseBusy(line string) (time.Duration, error) {
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("read processors: %q is not the first line of /proc/stat", line)
	}
	var busy time.Duration
	for i, f := range fields[1:9] {
		const idle, iowait = 3, 4
		if i == idle || i == iowait {
			continue
		}
		ticks, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read processors: %w", err)
		}
		busy += time.Duration(ticks) * tick
	}
	return busy, nil
}

// Dropped is how many datagrams the UDP sockets of an IPv4 address had no room for.
func Dropped(addr netip.Addr) (int, error) {
	data, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		return 0, fmt.Errorf("read sockets: %w", err)
	}
	return parseDropped(string(data), addr)
}

// parseDropped sums the last column of the lines whose local address is addr, which the kernel writes in the machine's
// order of bytes; all that we run on are little endian.
func parseDropped(table string, addr netip.Addr) (int, error) {
	b := addr.As4()
	local := fmt.Sprintf("%02X%02X%02X%02X:", b[3], b[2], b[1], b[0])
	sum := 0
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 3 || !strings.HasPrefix(fields[1], local) {
			continue
		}
		n, err := strconv.Atoi(fields[len(fields)-1])
		if err != nil {
			return 0, fmt.Errorf("read sockets: drops: %w", err)
		}
		sum += n
	}
	return sum, nil
}

// Self is the processor time, user and system, that this process has used.
func Self() (time.Duration, error) {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()), nil
}
