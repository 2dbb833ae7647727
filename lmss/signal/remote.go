package signal

import (
	"crypto/tls"

	"google.golang.org/grpc/credentials"

	"github.com/mss-federation/mss/lmss/admin"
	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/fault"
)

// remotes are servers of the API for operators elsewhere, one for each listener. An office that has not joined knows no
// operators: it refuses all of them, and says so in its status.
func (p *prepared) remotes(s *site, api *admin.Server, o *Options) (all []*adminapi.Server) {
	if len(o.GRPC) == 0 {
		return nil
	}
	var config *tls.Config
	if p.uplink != nil {
		config = p.uplink.OperatorTLS()
	}
	if config == nil {
		config = notJoined()
		s.alarms = append(s.alarms, "admin.grpc: the office has not joined its domain, so that no operator's certificate is known: mssctl works on this machine alone until lmss join and a restart")
	}
	for range o.GRPC {
		all = append(all, api.Remote(credentials.NewTLS(config)))
	}
	return all
}

// notJoined ends every handshake.
func notJoined() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return nil, fault.New("accept operator", fault.Unavailable, "", "the office has not joined its domain")
	}}
}
