package user

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/siptarget"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// Target is a fixed place to send a user's calls to: an address, or the name of a server.
type Target struct {
	// Transport is UDP when zero and Address is set. With a Host zero means that the name's records choose.
	Transport siptransport.Transport
	Address   netip.AddrPort
	// Host is a name instead of Address. Port zero leaves it to the name's records too.
	Host string
	Port uint16
}

// ParseTarget reads what String writes; the transport may be left out. Its error says what is wanted.
func ParseTarget(text string) (Target, error) {
	if text == "" {
		return Target{}, nil
	}
	var t Target
	name, place, found := strings.Cut(text, " ")
	if !found {
		name, place = "", text
	}
	place = strings.TrimSpace(place)
	t.Transport = map[string]siptransport.Transport{"udp": siptransport.UDP, "tcp": siptransport.TCP}[strings.ToLower(name)]
	known := !found || t.Transport != 0
	if addr, err := netip.ParseAddrPort(place); err == nil {
		t.Address = addr
		if t.Transport == 0 {
			t.Transport = siptransport.UDP
		}
		if known && addr.Port() != 0 && configfile.IsUnicast(addr.Addr()) && addr.Addr().Zone() == "" {
			return t, nil
		}
	} else if t.Host, t.Port = hostPort(place); isHost(t.Host) && known {
		return t, nil
	}
	return Target{}, fmt.Errorf("%q: an address with a port, such as 192.0.2.7:5060 or tcp 192.0.2.7:5060, or a server's name, such as pbx.example.org, is wanted here", text)
}

// hostPort takes a name with or without a port; without a name it is neither.
func hostPort(place string) (string, uint16) {
	host, text, found := strings.Cut(place, ":")
	port, err := strconv.ParseUint(text, 10, 16)
	if found && (err != nil || port == 0) {
		return "", 0
	}
	return strings.ToLower(strings.TrimSuffix(host, ".")), uint16(port)
}

// isHost says whether a text is a name. What looks like an address is none.
func isHost(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	switch host {
	case "udp", "tcp", "tls":
		return false // somebody forgot what comes behind it
	}
	return siptarget.IsName(host) && strings.Trim(last, "0123456789") != ""
}

// IsZero says that there is no target.
func (t Target) IsZero() bool { return t == Target{} }

// Query is what the target's name is looked up by; zero for an address.
func (t Target) Query() siptarget.Query {
	return siptarget.Query{Host: t.Host, Port: t.Port, Transport: t.Transport}
}

// String is "udp 192.0.2.7:5060", "tcp pbx.example.org:5070" or "pbx.example.org", or empty without a target.
func (t Target) String() string {
	if t.IsZero() {
		return ""
	}
	if t.Host == "" {
		return t.transport().Param() + " " + t.Address.String()
	}
	text := t.Host
	if t.Port != 0 {
		text += ":" + strconv.Itoa(int(t.Port))
	}
	if t.Transport != 0 {
		text = t.Transport.Param() + " " + text
	}
	return text
}

// URI is the Request-URI of a call to a user there.
func (t Target) URI(user string) string {
	uri := "sip:" + user + "@"
	if t.Host == "" {
		if uri += t.Address.String(); t.transport().Stream() {
			uri += ";transport=" + t.Transport.Param()
		}
		return uri
	}
	if uri += t.Host; t.Port != 0 {
		uri += ":" + strconv.Itoa(int(t.Port))
	}
	if t.Transport != 0 {
		uri += ";transport=" + t.Transport.Param()
	}
	return uri
}

func (t Target) transport() siptransport.Transport {
	if t.Transport == 0 {
		return siptransport.UDP
	}
	return t.Transport
}

// Flow is the way to the target from a local address. For streams it is "a connection to it".
func (t Target) Flow(local netip.AddrPort) siptransport.Flow {
	return siptransport.Flow{Transport: t.transport(), Local: local, Remote: t.Address}
}

func checkTarget(u *User) string {
	t := u.Target
	switch {
	case t.IsZero():
		return ""
	case t.transport().Param() == "":
		return "the target's transport must be udp, tcp or tls"
	case t.Host != "" && (t.Address.IsValid() || !isHost(t.Host)):
		return "the target is one address with a port, such as 192.0.2.7:5060, or one name, such as pbx.example.org"
	case t.Host == "" && (!t.Address.IsValid() || t.Address.Port() == 0 || t.Address.Addr().IsUnspecified()):
		return "the target needs an address and a port, such as 192.0.2.7:5060"
	case t.Address.Addr().Zone() != "":
		return "the target's address has a zone, which means something on this machine only: give one without"
	}
	return ""
}
