package config

import (
	"cmp"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/configfile"
)

// directoryPort is the usual one of etcd.
const directoryPort = 2379

// EnsureDefaults replaces zeros by defaults.
func (c *Config) EnsureDefaults() {
	configfile.Fill(&c.StateDir, "/var/lib/tmss")
	configfile.Fill(&c.StopTimeout, 10*time.Second)
	c.Directory.ensureDefaults(c.Listen.GRPC.First().Addr())
	c.Timers.ensureDefaults()
	configfile.Fill(&c.Exchange.Keepalive, 5*time.Second)
	configfile.Fill(&c.Exchange.Hold, 20*time.Second)
	configfile.Fill(&c.Exchange.StaleMax, 24*time.Hour)
	configfile.Fill(&c.Admin.Socket, filepath.Join(c.StateDir, "admin.sock"))
	configfile.Fill(&c.Admin.HTTPSocket, filepath.Join(c.StateDir, "http.sock"))
	configfile.Fill(&c.Trace.Bytes, 8<<20)
	configfile.Fill(&c.Log.Level, "info")
	configfile.Fill(&c.Log.Format, "text")
}

func (d *Directory) ensureDefaults(local netip.Addr) {
	d.Unsaid = d.Unsaid || d.Embedded == configfile.Unset && len(d.Endpoints) == 0 && len(d.Members) == 0
	embedded := configfile.On
	if len(d.Endpoints) > 0 {
		embedded = configfile.Off
	}
	d.Embedded = d.Embedded.Or(embedded)
	if d.Embedded.On() && local.IsValid() {
		configfile.Fill(&d.Listen, netip.AddrPortFrom(local, directoryPort))
	}
}

func (t *Timers) ensureDefaults() {
	configfile.Fill(&t.T1, 500*time.Millisecond)
	configfile.Fill(&t.T2, 4*time.Second)
	configfile.Fill(&t.T4, 5*time.Second)
	configfile.Fill(&t.C, 3*time.Minute)
	configfile.Fill(&t.Silence, 1500*time.Millisecond)
	configfile.Fill(&t.Search, 8*time.Second)
}

// addresses are the local ones, each once, in the order of the file.
func (l Listen) addresses() []netip.Addr {
	var all []netip.Addr
	for _, a := range slices.Concat(l.TLS, l.UDP, l.TCP, l.GRPC) {
		if a.IsValid() && !slices.Contains(all, a.Addr()) {
			all = append(all, a.Addr())
		}
	}
	return all
}

// Advertised is the address that others are told instead of a local one.
func (l Listen) Advertised(local netip.Addr) netip.Addr {
	return cmp.Or(l.Advertise[local], local)
}
