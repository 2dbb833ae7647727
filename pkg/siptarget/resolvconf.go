package siptarget

import (
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// resolvConf is the machine's list of name servers. Search domains are not used: names in SIP are whole.
type resolvConf struct {
	path string // empty means /etc/resolv.conf

	mu    sync.Mutex // guards what follows
	read  time.Time
	addrs []netip.AddrPort
}

// maxNameServers is how many of a file are used, as by the C library.
const maxNameServers = 3

// servers reads the file again every few seconds: DHCP writes it. Without any server there the machine is its
// own, as resolv.conf(5) says.
func (r *resolvConf) servers() []netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); r.addrs == nil || now.Sub(r.read) >= fileLife {
		r.read, r.addrs = now, readServers(r.path)
	}
	return r.addrs
}

func readServers(path string) []netip.AddrPort {
	if path == "" {
		path = "/etc/resolv.conf"
	}
	var addrs []netip.AddrPort
	if file, err := dns.ClientConfigFromFile(path); err == nil {
		for _, text := range file.Servers {
			if one, err := netip.ParseAddrPort(net.JoinHostPort(text, file.Port)); err == nil && len(addrs) < maxNameServers {
				addrs = append(addrs, one)
			}
		}
	}
	if len(addrs) == 0 {
		const port = 53
		for _, text := range []string{"127.0.0.1", "::1"} {
			addrs = append(addrs, netip.MustParseAddrPort(net.JoinHostPort(text, strconv.Itoa(port))))
		}
	}
	return addrs
}
