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
		fill(&c.Realm, string(c.Site)+"."+c.Domain)
	}
	fill(&c.StateDir, "/var/lib/lmss")
	fill(&c.StopTimeout, 10*time.Second)
	c.Media.ensureDefaults(c.StateDir, c.Listen)
	c.Store.Enabled = c.Store.Enabled.Or(configfile.On)
	fill(&c.Store.Reserve, 32<<20)
	fill(&c.Store.AnswerWait, 250*time.Millisecond)
	fill(&c.Digest.Algorithm, "md5")
	fill(&c.Digest.NonceLife, 5*time.Minute)
	c.Registrar.ensureDefaults()
	c.Timers.ensureDefaults()
	fill(&c.Admin.Socket, filepath.Join(c.StateDir, "admin.sock"))
	fill(&c.Trace.Bytes, 8<<20)
	fill(&c.Log.Level, "info")
	fill(&c.Log.Format, "text")
}

func (m *Media) ensureDefaults(stateDir string, listen Listen) {
	m.Anchor = m.Anchor.Or(configfile.On)
	fill(&m.Ports, configfile.PortRange{Low: 16384, High: 32766})
	fill(&m.Timeout, 5*time.Minute)
	fill(&m.Socket, filepath.Join(stateDir, "media.sock"))
	if len(m.Addresses) == 0 {
		m.Addresses = listen.addresses()
	}
}

func (r *Registrar) ensureDefaults() {
	fill(&r.MinExpires, time.Minute)
	fill(&r.DefaultExpires, time.Hour)
	fill(&r.MaxExpires, 2*time.Hour)
	fill(&r.Bindings, 3)
	fill(&r.TotalBindings, 100_000)
	fill(&r.NATPing, 25*time.Second)
}

func (t *Timers) ensureDefaults() {
	fill(&t.T1, 500*time.Millisecond)
	fill(&t.T2, 4*time.Second)
	fill(&t.T4, 5*time.Second)
	fill(&t.C, 3*time.Minute)
	fill(&t.NextGroup, 20*time.Second)
	fill(&t.NoAnswer, 2*time.Minute)
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// addresses are the local ones, each once, in the order of the file.
func (l Listen) addresses() []netip.Addr {
	var all []netip.Addr
	for _, a := range slices.Concat(l.UDP, l.TCP) {
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
