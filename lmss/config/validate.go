package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/configfile"
)

// Validate says what is wrong with a configuration that has its defaults. Each error names its key.
func (c *Config) Validate() error {
	var wrong configfile.Complaints
	if !configfile.IsLabel(string(c.Site)) {
		wrong.Add("site", "%q: the office's name is required: lower-case letters, digits and hyphens, such as london", c.Site)
	}
	if !configfile.IsDomain(c.Domain) {
		wrong.Add("domain", "%q: the federation's domain name is required, such as example.org", c.Domain)
	}
	if c.Realm == "" || strings.ContainsAny(c.Realm, ":\"\\") || strings.ContainsFunc(c.Realm, isControl) {
		wrong.Add("realm", "%q: must be a text without colon, quote and backslash", c.Realm)
	}
	if !filepath.IsAbs(c.StateDir) {
		wrong.Add("state_dir", "%q: must be an absolute path", c.StateDir)
	}
	if c.Workers < 0 || c.Workers > 127 {
		wrong.Add("workers", "%d: must be 0 to 127", c.Workers)
	}
	c.Listen.validate(&wrong, c.Media.Addresses)
	c.TLS.validate(&wrong, len(c.Listen.TLS) > 0)
	c.Media.validate(&wrong)
	c.validateUsers(&wrong)
	c.validateHubs(&wrong)
	c.DNS.validate(&wrong)
	c.validateChoices(&wrong)
	c.validateTimes(&wrong)
	c.Admin.validate(&wrong)
	wrong.Apart(configfile.Listening{Key: "listen.tcp", Addrs: c.Listen.TCP}, configfile.Listening{Key: "listen.tls", Addrs: c.Listen.TLS},
		configfile.Listening{Key: "admin.grpc", Addrs: c.Admin.GRPC}, configfile.Listening{Key: "admin.http", Addrs: c.Admin.HTTP})
	return wrong.Err()
}

func (a *Admin) validate(wrong *configfile.Complaints) {
	wrong.Socket("admin.socket", a.Socket)
	wrong.Socket("admin.http_socket", a.HTTPSocket)
	if a.Socket == a.HTTPSocket {
		wrong.Add("admin.http_socket", "%q is admin.socket too: each needs a path of its own", a.HTTPSocket)
	}
	wrong.Listeners("admin.grpc", a.GRPC)
	wrong.Listeners("admin.http", a.HTTP)
}

func (l Listen) validate(wrong *configfile.Complaints, voice []netip.Addr) {
	if len(l.UDP)+len(l.TCP)+len(l.TLS) == 0 {
		wrong.Add("listen", "at least one address is required, such as udp: [\"192.0.2.1:5060\"]")
	}
	wrong.Listeners("listen.udp", l.UDP)
	wrong.Listeners("listen.tcp", l.TCP)
	wrong.Listeners("listen.tls", l.TLS)
	wrong.Advertise("listen.advertise", l.Advertise, slices.Concat(l.addresses(), voice))
}

// validate looks at the paths alone; what the files hold is checked when they are read (see servercert).
func (t TLS) validate(wrong *configfile.Complaints, listening bool) {
	for key, path := range map[string]string{"tls.certificate": t.Certificate, "tls.key": t.Key} {
		switch {
		case listening && path == "":
			wrong.Add(key, "a PEM file is required here, since listen.tls has an address")
		case path != "" && !filepath.IsAbs(path):
			wrong.Add(key, "%q: must be an absolute path", path)
		case path != "" && !listening:
			wrong.Add(key, "nothing uses it: name an address in listen.tls, such as \"192.0.2.1:5061\"")
		}
	}
}

func (m *Media) validate(wrong *configfile.Complaints) {
	for i, a := range m.Addresses {
		if !configfile.IsUnicast(a) {
			wrong.Add(fmt.Sprintf("media.addresses[%d]", i), "%s is no address of one machine; name each", a)
		}
	}
	if m.Ports.Low < 1024 || m.Ports.High-m.Ports.Low < 3 {
		wrong.Add("media.ports", "%s: must begin at 1024 or above and hold four ports, two for each leg of one call", m.Ports)
	}
	wrong.Socket("media.socket", m.Socket)
	wrong.Socket("media.socket", m.HTTPSocket())
}

func (c *Config) validateUsers(wrong *configfile.Complaints) {
	for i, n := range c.Numbers {
		if err := n.Prefix().Validate(); err != nil {
			wrong.Add(fmt.Sprintf("numbers[%d]", i), "%v", err)
		}
	}
	seen := make(map[string]int, len(c.Users))
	for i, u := range c.Users {
		key := fmt.Sprintf("users[%d]", i)
		if first, twice := seen[u.Name]; twice {
			wrong.Add(key+".name", "%q is users[%d] already", u.Name, first)
			continue
		}
		seen[u.Name] = i
		if _, err := u.Make(c.Realm); err != nil {
			wrong.Add(key, "%v", err)
		}
	}
}

func (c *Config) validateChoices(wrong *configfile.Complaints) {
	wrong.Choice("media.reachable", c.Media.Reachable, ReachableAuto, ReachableYes, ReachableNo)
	wrong.Choice("digest.algorithm", c.Digest.Algorithm, "md5", "sha-256")
	wrong.Choice("log.level", c.Log.Level, "debug", "info", "warn", "error")
	wrong.Choice("log.format", c.Log.Format, "text", "json")
	if c.Registrar.Bindings < 0 || c.Registrar.Bindings > 100 {
		wrong.Add("registrar.bindings", "%d: must be 1 to 100", c.Registrar.Bindings)
	}
	if c.Registrar.TotalBindings < 0 {
		wrong.Add("registrar.total_bindings", "%d: must be above zero", c.Registrar.TotalBindings)
	}
	wrong.Size("trace.bytes", c.Trace.Bytes, 64<<10, 4<<30)
}

func (c *Config) validateTimes(wrong *configfile.Complaints) {
	for _, span := range []struct {
		key        string
		value      time.Duration
		low, limit time.Duration
	}{
		{"media.timeout", c.Media.Timeout, time.Second, 24 * time.Hour},
		{"store.answer_wait", c.Store.AnswerWait, time.Millisecond, 2 * time.Second},
		{"dns.timeout", c.DNS.Timeout, 100 * time.Millisecond, 30 * time.Second},
		{"digest.nonce_life", c.Digest.NonceLife, time.Second, 24 * time.Hour},
		{"registrar.min_expires", c.Registrar.MinExpires, time.Second, c.Registrar.DefaultExpires},
		{"registrar.default_expires", c.Registrar.DefaultExpires, time.Second, c.Registrar.MaxExpires},
		{"registrar.max_expires", c.Registrar.MaxExpires, time.Second, 7 * 24 * time.Hour},
		{"registrar.nat_ping", c.Registrar.NATPing, time.Second, 5 * time.Minute},
		{"timers.t1", c.Timers.T1, time.Millisecond, 5 * time.Second},
		{"timers.t2", c.Timers.T2, c.Timers.T1, 30 * time.Second},
		{"timers.t4", c.Timers.T4, time.Millisecond, 30 * time.Second},
		{"timers.c", c.Timers.C, time.Second, time.Hour},
		{"timers.next_group", c.Timers.NextGroup, time.Second, c.Timers.NoAnswer},
		{"timers.no_answer", c.Timers.NoAnswer, time.Second, time.Hour},
		{"stop_timeout", c.StopTimeout, 100 * time.Millisecond, 10 * time.Minute},
	} {
		wrong.Span(span.key, span.value, span.low, span.limit)
	}
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
