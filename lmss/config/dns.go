package config

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/configfile"
)

// maxNameServers is how many may be asked: each costs time when all are dead.
const maxNameServers = 4

// DNS says who is asked for names.
type DNS struct {
	// Servers are the name servers, the next one asked when one does not answer. Empty means those of
	// /etc/resolv.conf. What /etc/hosts has is asked of nobody.
	Servers []netip.AddrPort `yaml:"servers"`
	// Timeout bounds the search for one name; then what was known before serves, or the call is refused. Zero means 3s.
	Timeout time.Duration `yaml:"timeout"`
}

func (d *DNS) ensureDefaults() { configfile.Fill(&d.Timeout, 3*time.Second) }

func (d *DNS) validate(wrong *configfile.Complaints) {
	if len(d.Servers) > maxNameServers {
		wrong.Add("dns.servers", "%d servers: at most %d are asked", len(d.Servers), maxNameServers)
	}
	for i, server := range d.Servers {
		key := fmt.Sprintf("dns.servers[%d]", i)
		switch {
		case !configfile.IsUnicast(server.Addr()) || server.Port() == 0:
			wrong.Add(key, "%s is no address of one machine with a port, such as 192.0.2.53:53", server)
		case slices.Contains(d.Servers[:i], server):
			wrong.Add(key, "%s is there twice", server)
		}
	}
}
