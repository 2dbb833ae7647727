package configfile

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxSocketPath is what a Unix socket's address holds (unix(7)), in bytes.
const maxSocketPath = 107

// Complaints collects what is wrong with a configuration, each with its key.
type Complaints []error

// Add notes what is wrong with a key.
func (c *Complaints) Add(key, format string, args ...any) {
	*c = append(*c, At(key, format, args...))
}

// Err is all complaints as one error; nil when there is none.
func (c *Complaints) Err() error { return errors.Join(*c...) }

// Listeners wants single addresses of this machine, each once; ports may be 0.
func (c *Complaints) Listeners(key string, addrs []netip.AddrPort) {
	for i, a := range addrs {
		at := fmt.Sprintf("%s[%d]", key, i)
		switch {
		case a.Port() != 0 && slices.Contains(addrs[:i], a):
			c.Add(at, "%s is there twice", a)
		default:
			c.Listener(at, a)
		}
	}
}

// Listener wants one address of this machine; its port may be 0.
func (c *Complaints) Listener(key string, a netip.AddrPort) {
	switch {
	case a.Addr().IsUnspecified():
		c.Add(key, "%s is every address; name each: an answer must leave from the address that was asked", a)
	case a.Addr().Zone() != "":
		c.Add(key, "%s has a zone, which means something on this machine only: give an address that others can use", a)
	case !IsUnicast(a.Addr()):
		c.Add(key, "%s is no address of one machine", a)
	}
}

// Listening are the addresses of one key at which something listens over TCP.
type Listening struct {
	Key   string
	Addrs []netip.AddrPort
	One   bool // the key has an address and not a list
}

// Apart wants no address under two keys, whatever is spoken there: it would be found when the second one is bound, as a
// port that some other program has. Ports may be 0.
func (c *Complaints) Apart(all ...Listening) {
	taken := map[netip.AddrPort]string{}
	for _, l := range all {
		for i, a := range l.Addrs {
			at := fmt.Sprintf("%s[%d]", l.Key, i)
			if l.One {
				at = l.Key
			}
			if before, is := taken[a]; is && before != l.Key && a.Port() != 0 {
				c.Add(at, "%s is in %s too, and both run over TCP: name another port", a, before)
			}
			taken[a] = l.Key
		}
	}
}

// Advertise wants addresses of the same family for local ones.
func (c *Complaints) Advertise(key string, advertise map[netip.Addr]netip.Addr, local []netip.Addr) {
	for from, to := range advertise {
		at := key + "." + from.String()
		switch {
		case !slices.Contains(local, from):
			c.Add(at, "nothing listens on this address; local addresses are %s", list(local))
		case !IsUnicast(to) || from.Is4() != to.Is4():
			c.Add(at, "%s cannot stand for %s: one address of the same family is wanted", to, from)
		}
	}
}

// Socket wants a path that a Unix socket can have.
func (c *Complaints) Socket(key, path string) {
	switch {
	case !filepath.IsAbs(path):
		c.Add(key, "%q: must be an absolute path", path)
	case len(path) > maxSocketPath:
		c.Add(key, "%q has %d bytes, and a socket's path may have %d: name a shorter one here, or a shorter state_dir",
			path, len(path), maxSocketPath)
	}
}

// Choice wants one of a few words.
func (c *Complaints) Choice(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.Add(key, "%q: must be one of %s", value, strings.Join(allowed, ", "))
	}
}

// Span wants a time within bounds.
func (c *Complaints) Span(key string, value, low, high time.Duration) {
	if value < low || value > high {
		c.Add(key, "%v: must be %v to %v", value, low, high)
	}
}

// Size wants a size within bounds.
func (c *Complaints) Size(key string, value, low, high Size) {
	if value < low || value > high {
		c.Add(key, "%s: must be %s to %s", value, low, high)
	}
}

// IsUnicast says whether an address can be one machine's, wherever it is read: without a zone.
func IsUnicast(a netip.Addr) bool {
	return a.IsValid() && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// IsLabel says whether s is one part of a domain name, in lower case (RFC 1123 §2.1).
func IsLabel(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-'
}

// IsDomain says whether s is a domain name in lower case that leaves room for the names of nodes in it.
func IsDomain(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if !IsLabel(label) {
			return false
		}
	}
	return len(s) <= 190 // a node's name, its role and the rest of a name of 255 must fit
}

// Fill gives a field its default where it is zero.
func Fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func list(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}
