package config

import (
	"cmp"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/configfile"
)

// EnsureDefaults replaces zeros by defaults. Those of the registrar's and the transactions' options say the same; they
// are here so that mssctl and the sample can show them.
func (c *Config) EnsureDefaults() {
	if c.Site != "" && c.Domain != "" {
		configfile.Fill(&c.Realm, string(c.Site)+"."+c.Domain)
	}
	configfile.Fill(&c.StateDir, "/var/lib/lmss")
	configfile.Fill(&c.StopTimeout, 10*time.Second)
	c.Media.ensureDefaults(c.StateDir, c.Listen)
	c.Store.Enabled = c.Store.Enabled.Or(configfile.On)
	configfile.Fill(&c.Store.Reserve, 32<<20)
	configfile.Fill(&c.Store.AnswerWait, 250*time.Millisecond)
	c.DNS.ensureDefaults()
	configfile.Fill(&c.Digest.Algorithm, "md5")
	configfile.Fill(&c.Digest.NonceLife, 5*time.Minute)
	c.Registrar.ensureDefaults()
	c.Timers.ensureDefaults()
	configfile.Fill(&c.Admin.Socket, filepath.Join(c.StateDir, "admin.sock"))
	configfile.Fill(&c.Admin.HTTPSocket, filepath.Join(c.StateDir, "http.sock"))
	configfile.Fill(&c.Trace.Bytes, 8<<20)
	configfile.Fill(&c.Log.Level, "info")
	configfile.Fill(&c.Log.Format, "text")
}

func (m *Media) ensureDefaults(stateDir string, listen Listen) {
	m.Anchor = m.Anchor.Or(configfile.On)
	configfile.Fill(&m.Reachable, ReachableAuto)
	configfile.Fill(&m.Ports, configfile.PortRange{Low: 16384, High: 32766})
	configfile.Fill(&m.Timeout, 5*time.Minute)
	configfile.Fill(&m.Socket, filepath.Join(stateDir, "media.sock"))
	if len(m.Addresses) == 0 {
		m.Addresses = listen.addresses()
	}
}

func (r *Registrar) ensureDefaults() {
	configfile.Fill(&r.MinExpires, time.Minute)
	configfile.Fill(&r.DefaultExpires, time.Hour)
	configfile.Fill(&r.MaxExpires, 2*time.Hour)
	configfile.Fill(&r.Bindings, 3)
	configfile.Fill(&r.TotalBindings, 100_000)
	configfile.Fill(&r.NATPing, 25*time.Second)
}

func (t *Timers) ensureDefaults() {
	configfile.Fill(&t.T1, 500*time.Millisecond)
	configfile.Fill(&t.T2, 4*time.Second)
	configfile.Fill(&t.T4, 5*time.Second)
	configfile.Fill(&t.C, 3*time.Minute)
	configfile.Fill(&t.NextGroup, 20*time.Second)
	configfile.Fill(&t.NoAnswer, 2*time.Minute)
}

// addresses are the local ones, each once, in the order of the file.
func (l Listen) addresses() []netip.Addr {
	var all []netip.Addr
	for _, a := range slices.Concat(l.UDP, l.TCP, l.TLS) {
		if !slices.Contains(all, a.Addr()) {
			all = append(all, a.Addr())
		}
	}
	return all
}

// Advertised is the address that others are told instead of a local one.
func (l Listen) Advertised(local netip.Addr) netip.Addr {
	return cmp.Or(l.Advertise[local], local)
}

// TLSAddresses are those at which phones reach the site over TLS, each once: what its certificate may be asked for.
func (l Listen) TLSAddresses() []netip.Addr {
	var all []netip.Addr
	for _, a := range l.TLS {
		if shown := l.Advertised(a.Addr()); !slices.Contains(all, shown) {
			all = append(all, shown)
		}
	}
	return all
}
