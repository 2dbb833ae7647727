package call

import (
	"strconv"
	"strings"

	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptarget"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// nextHop is where a request inside a dialog goes (RFC 3261 §12.2.1.1): to the first of the route set, or else
// to the remote target. Strict routers (no lr) are not known of: they are sent to like others.
func (d *dialog) nextHop() string {
	if len(d.routes) > 0 {
		return sipheader.URI(d.routes[0])
	}
	return d.target
}

// queryOf is what a sip or sips URI says about its target; false for any other.
func queryOf(uri string) (siptarget.Query, bool) {
	uri = sipheader.Target(uri)
	scheme, _, _ := strings.Cut(uri, ":")
	q := siptarget.Query{Host: sipheader.Host(uri), Secure: strings.EqualFold(scheme, "sips")}
	if !q.Secure && !strings.EqualFold(scheme, "sip") || q.Host == "" {
		return q, false
	}
	rest := uri[strings.LastIndexByte(uri, '@')+1:]
	hostPort, params, _ := strings.Cut(rest, ";")
	if at := strings.LastIndexByte(hostPort, ':'); at > strings.LastIndexByte(hostPort, ']') && strings.LastIndexByte(uri, '@')+1+at > len(scheme) {
		port, err := strconv.ParseUint(hostPort[at+1:], 10, 16)
		if err != nil {
			return q, false
		}
		q.Port = uint16(port)
	}
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "maddr":
			q.Host = value
		case "transport":
			q.Transport = transports[strings.ToLower(value)]
			if q.Transport == 0 {
				return q, false
			}
		}
	}
	return q, true
}

// transports are what we know by a URI's parameter.
var transports = map[string]siptransport.Transport{
	"udp": siptransport.UDP, "tcp": siptransport.TCP, "tls": siptransport.TLS,
}
