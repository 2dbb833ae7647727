package registrar

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/mss-federation/mss/pkg/siptransport"
)

// contactURI is a SIP URI cut into what RFC 3261 §19.1.4 compares. Escapes are undone where they may
// not matter, and what compares case-insensitively is in lower case.
type contactURI struct {
	scheme   string // sip or sips
	user     string // with password, unescaped; case-sensitive
	host     string
	port     uint16 // 0 when absent: "sip:a@h" and "sip:a@h:5060" are not equal
	params   []uriParam
	headers  string // as sent
	explicit bool   // there is an @
}

type uriParam struct{ name, value string }

var (
	errScheme = errors.New("the Contact is not a sip: or sips: URI")
	errHost   = errors.New("the Contact's host or port cannot be read")
)

// parseURI reads a SIP URI without brackets.
func parseURI(text string) (contactURI, error) {
	var u contactURI
	scheme, rest, ok := strings.Cut(text, ":")
	u.scheme = strings.ToLower(scheme)
	if !ok || (u.scheme != "sip" && u.scheme != "sips") {
		return u, errScheme
	}
	// "?" and ";" may stand in the user part, so it goes first.
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		u.user, u.explicit, rest = unescape(rest[:at]), true, rest[at+1:]
	}
	rest, u.headers, _ = strings.Cut(rest, "?")
	hostport, params, _ := strings.Cut(rest, ";")
	if err := u.setHost(hostport); err != nil {
		return u, err
	}
	for params != "" {
		var p string
		p, params, _ = strings.Cut(params, ";")
		u.addParam(p)
	}
	return u, nil
}

func (u *contactURI) setHost(hostport string) error {
	host, port := hostport, ""
	if end := strings.IndexByte(hostport, ']'); strings.HasPrefix(hostport, "[") && end > 0 {
		host, port = hostport[:end+1], hostport[end+1:]
	} else if colon := strings.IndexByte(hostport, ':'); colon >= 0 {
		host, port = hostport[:colon], hostport[colon:]
	}
	if port != "" {
		n, err := strconv.ParseUint(strings.TrimPrefix(port, ":"), 10, 16)
		if err != nil || n == 0 || port[0] != ':' {
			return errHost
		}
		u.port = uint16(n)
	}
	if host == "" || strings.ContainsAny(host, " \t\r\n<>\"@,%") {
		return errHost
	}
	u.host = strings.ToLower(host)
	return nil
}

func (u *contactURI) addParam(p string) {
	name, value, _ := strings.Cut(p, "=")
	if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
		u.params = append(u.params, uriParam{name, strings.ToLower(unescape(strings.TrimSpace(value)))})
	}
}

// unescape undoes %HH; what is no escape stays as it is.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if b, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(b))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

func (u *contactURI) param(name string) (string, bool) {
	for _, p := range u.params {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// equal follows RFC 3261 §19.1.4. It is not transitive: a parameter that only one side has is ignored,
// unless it is one of those that must be on both.
func (u *contactURI) equal(v *contactURI) bool {
	return u.scheme == v.scheme && u.explicit == v.explicit && u.user == v.user && u.host == v.host && u.port == v.port &&
		sameHeaders(u.headers, v.headers) && u.paramsAgree(v) && v.paramsAgree(u)
}

func (u *contactURI) paramsAgree(v *contactURI) bool {
	for _, p := range u.params {
		other, ok := v.param(p.name)
		if ok && other != p.value {
			return false
		}
		if ok {
			continue
		}
		switch p.name {
		case "transport", "user", "ttl", "method", "maddr":
			return false
		}
	}
	return true
}

func sameHeaders(a, b string) bool {
	if a == b {
		return true
	}
	x, y := strings.Split(a, "&"), strings.Split(b, "&")
	if len(x) != len(y) {
		return false
	}
	for _, h := range x {
		found := false
		for _, k := range y {
			found = found || strings.EqualFold(unescape(h), unescape(k))
		}
		if !found {
			return false
		}
	}
	return true
}

// transport is the one that the URI asks for, or zero where it leaves the choice.
func (u *contactURI) transport() siptransport.Transport {
	if u.scheme == "sips" {
		return siptransport.TLS
	}
	name, _ := u.param("transport")
	switch name {
	case "udp":
		return siptransport.UDP
	case "tcp":
		return siptransport.TCP
	case "tls":
		return siptransport.TLS
	}
	return 0
}

// address is the URI's literal address with the default port of the transport filled in.
func (u *contactURI) address(t siptransport.Transport) netip.AddrPort {
	host := u.host
	if maddr, ok := u.param("maddr"); ok {
		host = maddr
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return netip.AddrPort{}
	}
	port := u.port
	switch {
	case port != 0:
	case t == siptransport.TLS:
		port = 5061
	default:
		port = 5060
	}
	return netip.AddrPortFrom(addr.Unmap(), port)
}
