package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/federation"
)

// members is the size of a directory of several: it goes on without one of them.
const members = 3

// Validate says what is wrong with a configuration that has its defaults. Each error names its key.
func (c *Config) Validate() error {
	var wrong configfile.Complaints
	if !configfile.IsLabel(string(c.Hub)) {
		wrong.Add("hub", "%q: the hub's name is required: lower-case letters, digits and hyphens, such as a", c.Hub)
	}
	if !configfile.IsDomain(c.Domain) {
		wrong.Add("domain", "%q: the federation's domain name is required, such as example.org", c.Domain)
	}
	if !filepath.IsAbs(c.StateDir) {
		wrong.Add("state_dir", "%q: must be an absolute path", c.StateDir)
	}
	if c.Workers < 0 || c.Workers > 127 {
		wrong.Add("workers", "%d: must be 0 to 127", c.Workers)
	}
	c.Listen.validate(&wrong)
	c.Directory.validate(string(c.Hub), &wrong)
	c.validateSites(&wrong)
	c.validateTimes(&wrong)
	wrong.Size("trace.bytes", c.Trace.Bytes, 64<<10, 4<<30)
	wrong.Choice("log.level", c.Log.Level, "debug", "info", "warn", "error")
	wrong.Choice("log.format", c.Log.Format, "text", "json")
	c.Admin.validate(&wrong)
	var directory []netip.AddrPort
	if c.Directory.Embedded.On() {
		directory = []netip.AddrPort{c.Directory.Listen}
	}
	wrong.Apart(
		configfile.Listening{Key: "listen.tls", Addrs: c.Listen.TLS}, configfile.Listening{Key: "listen.tcp", Addrs: c.Listen.TCP},
		configfile.Listening{Key: "listen.grpc", Addrs: c.Listen.GRPC, One: len(c.Listen.GRPC) == 1},
		configfile.Listening{Key: "directory.listen", Addrs: directory, One: true},
		configfile.Listening{Key: "admin.http", Addrs: c.Admin.HTTP},
	)
	return wrong.Err()
}

func (a *Admin) validate(wrong *configfile.Complaints) {
	wrong.Socket("admin.socket", a.Socket)
	wrong.Socket("admin.http_socket", a.HTTPSocket)
	if a.Socket == a.HTTPSocket {
		wrong.Add("admin.http_socket", "%q is admin.socket too: each needs a path of its own", a.HTTPSocket)
	}
	wrong.Listeners("admin.http", a.HTTP)
}

func (l Listen) validate(wrong *configfile.Complaints) {
	if len(l.TLS)+len(l.UDP)+len(l.TCP) == 0 {
		wrong.Add("listen", "at least one address for SIP is required, such as tls: [\"192.0.2.1:5061\"]")
	}
	wrong.Listeners("listen.tls", l.TLS)
	wrong.Listeners("listen.udp", l.UDP)
	wrong.Listeners("listen.tcp", l.TCP)
	switch len(l.GRPC) {
	case 0:
		wrong.Add("listen.grpc", "an address is required, such as 192.0.2.1:5443")
	case 1:
		wrong.Listener("listen.grpc", l.GRPC.First())
	default:
		wrong.Listeners("listen.grpc", l.GRPC)
	}
	wrong.Advertise("listen.advertise", l.Advertise, l.addresses())
}

func (d *Directory) validate(hub string, wrong *configfile.Complaints) {
	switch {
	case d.Embedded.On() && len(d.Endpoints) > 0:
		wrong.Add("directory.endpoints", "the directory is embedded, or it is elsewhere: take one of the two away")
	case !d.Embedded.On() && len(d.Endpoints) == 0:
		wrong.Add("directory.endpoints", "the directory is not embedded: say where it is, such as [\"192.0.2.1:2379\"]")
	}
	for i, e := range d.Endpoints {
		if host, port, err := net.SplitHostPort(e); err != nil || host == "" || port == "" {
			wrong.Add(fmt.Sprintf("directory.endpoints[%d]", i), "%q: host and port are wanted here, such as 192.0.2.1:2379", e)
		}
	}
	if d.Embedded.On() && d.Listen.IsValid() {
		wrong.Listener("directory.listen", d.Listen)
		if d.Listen.Port() == 0 {
			wrong.Add("directory.listen", "%s: a port is wanted here, since other hubs must know it", d.Listen)
		}
	}
	d.validateMembers(hub, wrong)
}

func (d *Directory) validateMembers(hub string, wrong *configfile.Complaints) {
	if len(d.Members) == 0 {
		return
	}
	if !d.Embedded.On() {
		wrong.Add("directory.members", "this hub runs no member; embedded: true would")
	}
	if _, own := d.Members[hub]; !own || len(d.Members) != members {
		wrong.Add("directory.members", "a directory has one member, or three of which this hub is one")
	}
	for _, name := range slices.Sorted(maps.Keys(d.Members)) {
		if a := d.Members[name]; !configfile.IsUnicast(a.Addr()) || a.Port() == 0 {
			wrong.Add("directory.members."+name, "%s: an address and a port are wanted here", a)
		}
	}
}

func (c *Config) validateSites(wrong *configfile.Complaints) {
	seen := map[federation.SiteID]int{}
	for i, s := range c.Sites {
		key := fmt.Sprintf("sites[%d]", i)
		first, twice := seen[s.Name]
		switch {
		case !configfile.IsLabel(string(s.Name)):
			wrong.Add(key+".name", "%q: must be lower-case letters, digits and hyphens", s.Name)
		case twice:
			wrong.Add(key+".name", "%q is sites[%d] already", s.Name, first)
		}
		seen[s.Name] = i
		if len(s.Prefixes) == 0 {
			wrong.Add(key+".prefixes", "the office's numbers are wanted here, such as [4xxx]")
		}
		switch a := s.Address; {
		case a == Address{}:
			wrong.Add(key+".address", "an address is wanted here, such as udp 192.0.2.7:5060")
		case a.Transport == "udp" && len(c.Listen.UDP) == 0:
			wrong.Add(key+".address", "%s: the hub has no UDP socket; listen.udp would make one", a)
		}
	}
}

func (c *Config) validateTimes(wrong *configfile.Complaints) {
	wrong.Span("timers.t1", c.Timers.T1, time.Millisecond, 5*time.Second)
	wrong.Span("timers.t2", c.Timers.T2, c.Timers.T1, 30*time.Second)
	wrong.Span("timers.t4", c.Timers.T4, time.Millisecond, 30*time.Second)
	wrong.Span("timers.c", c.Timers.C, time.Second, time.Hour)
	wrong.Span("timers.silence", c.Timers.Silence, 100*time.Millisecond, 30*time.Second)
	wrong.Span("timers.search", c.Timers.Search, c.Timers.Silence, time.Minute)
	wrong.Span("exchange.keepalive", c.Exchange.Keepalive, 100*time.Millisecond, time.Minute)
	wrong.Span("exchange.hold", c.Exchange.Hold, 3*c.Exchange.Keepalive, 10*time.Minute)
	wrong.Span("exchange.stale_max", c.Exchange.StaleMax, time.Second, 30*24*time.Hour)
	wrong.Span("stop_timeout", c.StopTimeout, 100*time.Millisecond, 10*time.Minute)
}
