package siptarget

import (
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// fileLife is how long a file is believed before it is looked at again.
	fileLife = 5 * time.Second
	// maxHostsFile bounds what is read of it, in bytes.
	maxHostsFile = 1 << 20
)

// hostsFile is /etc/hosts: what an operator writes there wins over all name servers, SRV and NAPTR too.
type hostsFile struct {
	path string

	reading sync.Mutex // who has it may read the file; guards changed
	changed time.Time  // of the file, when it was last read

	mu      sync.Mutex // guards what follows, and never waits for the disk
	checked time.Time
	names   map[string][]netip.Addr
}

func (h *hostsFile) lookup(name string) []netip.Addr {
	if h.path == "-" {
		return nil
	}
	h.reading.Lock()
	defer h.reading.Unlock()
	known, fresh := h.remembered(name)
	if fresh {
		return known
	}
	names, changed := h.read()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checked = time.Now()
	if changed {
		h.names = names
	}
	return h.names[name]
}

// remembered is lookup without touching the disk; false says that the file should be looked at again.
func (h *hostsFile) remembered(name string) ([]netip.Addr, bool) {
	if h.path == "-" {
		return nil, true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.names[name], time.Since(h.checked) < fileLife
}

// read reads the file if it changed. One that cannot be read has no names.
func (h *hostsFile) read() (names map[string][]netip.Addr, changed bool) {
	info, err := os.Stat(h.path)
	if err != nil || info.Size() > maxHostsFile {
		h.changed = time.Time{}
		return nil, true
	}
	if info.ModTime().Equal(h.changed) {
		return nil, false
	}
	text, err := os.ReadFile(h.path)
	if err != nil {
		h.changed = time.Time{}
		return nil, true
	}
	h.changed = info.ModTime()
	return parseHosts(string(text)), true
}

// parseHosts reads lines of an address and its names; IPv6 and IPv4 take turns as from DNS.
func parseHosts(text string) map[string][]netip.Addr {
	v4, v6 := map[string][]netip.Addr{}, map[string][]netip.Addr{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil || addr.Zone() != "" || !usable(addr) {
			continue
		}
		family := v6
		if addr = addr.Unmap(); addr.Is4() {
			family = v4
		}
		for _, name := range fields[1:] {
			if name = normalise(name); len(family[name]) < maxAddrs {
				family[name] = append(family[name], addr)
			}
		}
	}
	all := map[string][]netip.Addr{}
	for _, family := range []map[string][]netip.Addr{v4, v6} {
		for name := range family {
			all[name] = interleaved(v4[name], v6[name])
		}
	}
	return all
}
