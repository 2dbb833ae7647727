package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/configfile"
)

// maxSocketPath is what a Unix socket's address holds (unix(7)), in bytes.
const maxSocketPath = 107

// complaints collects what is wrong, each with its key.
type complaints []error

func (c *complaints) add(key, format string, args ...any) {
	*c = append(*c, configfile.At(key, format, args...))
}

// Validate says what is wrong with a configuration that has its defaults. Each error names its key.
func (c *Config) Validate() error {
	var wrong complaints
	if !isLabel(string(c.Site)) {
		wrong.add("site", "%q: the office's name is required: lower-case letters, digits and hyphens, such as london", c.Site)
	}
	if !isDomain(c.Domain) {
		wrong.add("domain", "%q: the federation's domain name is required, such as example.org", c.Domain)
	}
	if c.Realm == "" || strings.ContainsAny(c.Realm, ":\"\\") || strings.ContainsFunc(c.Realm, isControl) {
		wrong.add("realm", "%q: must be a text without colon, quote and backslash", c.Realm)
	}
	if !filepath.IsAbs(c.StateDir) {
		wrong.add("state_dir", "%q: must be an absolute path", c.StateDir)
	}
	if c.Workers < 0 || c.Workers > 127 {
		wrong.add("workers", "%d: must be 0 to 127", c.Workers)
	}
	c.Listen.validate(&wrong)
	c.Media.validate(&wrong)
	c.validateUsers(&wrong)
	c.validateChoices(&wrong)
	c.validateTimes(&wrong)
	wrong.socket("admin.socket", c.Admin.Socket)
	return errors.Join(wrong...)
}

func (l Listen) validate(wrong *complaints) {
	if len(l.UDP)+len(l.TCP) == 0 {
		wrong.add("listen", "at least one address is required, such as udp: [\"192.0.2.1:5060\"]")
	}
	wrong.listeners("listen.udp", l.UDP)
	wrong.listeners("listen.tcp", l.TCP)
	local := l.addresses()
	for from, to := range l.Advertise {
		key := "listen.advertise." + from.String()
		switch {
		case !slices.Contains(local, from):
			wrong.add(key, "nothing listens on this address; local addresses are %s", list(local))
		case !isUnicast(to) || from.Is4() != to.Is4():
			wrong.add(key, "%s cannot stand for %s: one address of the same family is wanted", to, from)
		}
	}
}

func (c *complaints) listeners(key string, addrs []netip.AddrPort) {
	for i, a := range addrs {
		at := fmt.Sprintf("%s[%d]", key, i)
		switch {
		case a.Addr().IsUnspecified():
			c.add(at, "%s is every address; name each: an answer must leave from the address that was asked", a)
		case !isUnicast(a.Addr()):
			c.add(at, "%s is no address of one machine", a)
		case a.Port() != 0 && slices.Contains(addrs[:i], a):
			c.add(at, "%s is there twice", a)
		}
	}
}

func (m *Media) validate(wrong *complaints) {
	for i, a := range m.Addresses {
		if !isUnicast(a) {
			wrong.add(fmt.Sprintf("media.addresses[%d]", i), "%s is no address of one machine; name each", a)
		}
	}
	if m.Ports.Low < 1024 || m.Ports.High-m.Ports.Low < 3 {
		wrong.add("media.ports", "%s: must begin at 1024 or above and hold four ports, two for each leg of one call", m.Ports)
	}
	wrong.socket("media.socket", m.Socket)
}

func (c *complaints) socket(key, path string) {
	switch {
	case !filepath.IsAbs(path):
		c.add(key, "%q: must be an absolute path", path)
	case len(path) > maxSocketPath:
		c.add(key, "%q has %d bytes, and a socket's path may have %d: name a shorter one here, or a shorter state_dir",
			path, len(path), maxSocketPath)
	}
}

func (c *Config) validateUsers(wrong *complaints) {
	for i, n := range c.Numbers {
		if err := n.Prefix().Validate(); err != nil {
			wrong.add(fmt.Sprintf("numbers[%d]", i), "%v", err)
		}
	}
	seen := make(map[string]int, len(c.Users))
	for i, u := range c.Users {
		key := fmt.Sprintf("users[%d]", i)
		if first, twice := seen[u.Name]; twice {
			wrong.add(key+".name", "%q is users[%d] already", u.Name, first)
			continue
		}
		seen[u.Name] = i
		if _, err := u.Make(c.Realm); err != nil {
			wrong.add(key, "%v", err)
		}
	}
}

func (c *Config) validateChoices(wrong *complaints) {
	for _, choice := range []struct {
		key, value string
		allowed    []string
	}{
		{"digest.algorithm", c.Digest.Algorithm, []string{"md5", "sha-256"}},
		{"log.level", c.Log.Level, []string{"debug", "info", "warn", "error"}},
		{"log.format", c.Log.Format, []string{"text", "json"}},
	} {
		if !slices.Contains(choice.allowed, choice.value) {
			wrong.add(choice.key, "%q: must be one of %s", choice.value, strings.Join(choice.allowed, ", "))
		}
	}
	if c.Registrar.Bindings < 0 || c.Registrar.Bindings > 100 {
		wrong.add("registrar.bindings", "%d: must be 1 to 100", c.Registrar.Bindings)
	}
	if c.Registrar.TotalBindings < 0 {
		wrong.add("registrar.total_bindings", "%d: must be above zero", c.Registrar.TotalBindings)
	}
	if c.Trace.Bytes < 64<<10 || c.Trace.Bytes > 4<<30 {
		wrong.add("trace.bytes", "%s: must be 64KiB to 4GiB", c.Trace.Bytes)
	}
}

func (c *Config) validateTimes(wrong *complaints) {
	for _, span := range []struct {
		key        string
		value      time.Duration
		low, limit time.Duration
	}{
		{"media.timeout", c.Media.Timeout, time.Second, 24 * time.Hour},
		{"store.answer_wait", c.Store.AnswerWait, time.Millisecond, 2 * time.Second},
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
		if span.value < span.low || span.value > span.limit {
			wrong.add(span.key, "%v: must be %v to %v", span.value, span.low, span.limit)
		}
	}
}

func isUnicast(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// isLabel says whether s is one part of a domain name, in lower case (RFC 1123 §2.1).
func isLabel(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-'
}

func isDomain(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return len(s) <= 190 // a site's name, a dot and the rest of a name of 255 must fit
}

func list(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}
