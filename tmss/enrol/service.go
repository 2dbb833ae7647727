package enrol

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/fault/faultgrpc"
	"github.com/mss-federation/mss/pkg/identity"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
	"github.com/mss-federation/mss/tmss/discovery"
)

// joinsAtOnce bounds what strangers can make the hub and its directory do.
const joinsAtOnce = 8

// Service answers Join and Renew.
type Service struct {
	tmssv1.UnimplementedEnrolmentServer

	authorities *Authorities
	trust       *identity.Trust
	invitations Invitations
	auditor     Auditor
	directory   []string
	logger      *slog.Logger
	slots       chan struct{}
}

// Options are what a Service works with. All are required.
type Options struct {
	Authorities *Authorities
	Trust       *identity.Trust
	Invitations Invitations
	Auditor     Auditor
	// Directory are host and port of the directory's members, for hubs that join.
	Directory []string
	Logger    *slog.Logger
}

// NewService serves the hub's authorities to whom invitations and trust admit.
func NewService(o Options) *Service {
	return &Service{
		authorities: o.Authorities, trust: o.Trust, invitations: o.Invitations, auditor: o.Auditor, directory: o.Directory,
		logger: o.Logger, slots: make(chan struct{}, joinsAtOnce),
	}
}

// Join spends a token.
func (s *Service) Join(ctx context.Context, request *tmssv1.JoinRequest) (*tmssv1.JoinResponse, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return nil, faultgrpc.Status(fault.New("join", fault.Exhausted, "", "too many are joining at once: try again"))
	}
	who := caller(ctx)
	response, what, err := s.join(ctx, request)
	if err = s.audit(ctx, who, what, err); err != nil {
		return nil, faultgrpc.Status(err)
	}
	return response, nil
}

// join says in what it tried, for the audit record.
func (s *Service) join(ctx context.Context, request *tmssv1.JoinRequest) (response *tmssv1.JoinResponse, what string, err error) {
	a, err := readApplication(request.GetRequest(), request.GetIssuingRequest())
	if err != nil {
		return nil, "join", err
	}
	what = "join " + a.node.URI()
	// Before the token is spent, all is in place that the certificates need.
	signer, err := s.signerFor(a.node)
	if err != nil {
		return nil, what, err
	}
	now := time.Now()
	_, err = s.invitations.Spend(ctx, identity.SecretHash(request.GetSecret()), func(i discovery.Invitation) error {
		return admit(a, i, now)
	})
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return nil, what, fault.New("join", fault.Denied, a.node.URI(), "the token is unknown, spent or expired: make a new one")
	}
	if err != nil {
		return nil, what, err
	}
	response, err = s.certify(a, signer, now)
	return response, what, err
}

// signerFor is the root for hubs, nil for others.
func (s *Service) signerFor(node identity.Node) (*identity.Authority, error) {
	if domain := s.trust.Domain(); node.Domain != domain {
		return nil, fault.New("join", fault.Denied, node.URI(), "this is a hub of "+domain)
	}
	if node.Role != identity.Hub {
		return nil, nil //nolint:nilnil // sites need no signer but the hub itself
	}
	return s.authorities.root()
}

func (s *Service) certify(a application, root *identity.Authority, now time.Time) (*tmssv1.JoinResponse, error) {
	chain, err := s.authorities.issuing.Issue(a.key, a.node, now)
	if err != nil {
		return nil, err
	}
	response := &tmssv1.JoinResponse{Chain: wire(chain)}
	if root != nil {
		issuing, err := root.Authorize(a.issuing, a.node, now)
		if err != nil {
			return nil, err
		}
		response.Issuing, response.Directory = issuing.Raw, s.directory
	}
	return response, nil
}

// Renew gives the identity that the caller has a new certificate.
func (s *Service) Renew(ctx context.Context, request *tmssv1.RenewRequest) (*tmssv1.RenewResponse, error) {
	now := time.Now()
	node, err := identity.RenewingNode(s.trust, connection(ctx), now)
	if err != nil {
		return nil, faultgrpc.Status(s.audit(ctx, caller(ctx), "renew", err))
	}
	chain, err := s.renew(node, request.GetRequest(), now)
	if err = s.audit(ctx, node.URI(), "renew "+node.URI(), err); err != nil {
		return nil, faultgrpc.Status(err)
	}
	return &tmssv1.RenewResponse{Chain: wire(chain)}, nil
}

func (s *Service) renew(node identity.Node, request []byte, now time.Time) ([]*x509.Certificate, error) {
	key, asked, err := identity.ParseRequest(request)
	if err != nil {
		return nil, err
	}
	if asked != node {
		return nil, fault.New("renew", fault.Denied, node.URI(), "it asks for the certificate of "+asked.URI())
	}
	return s.authorities.issuing.Issue(key, node, now)
}

// audit records what was done or refused, and gives the error that the caller gets: without a record,
// nothing leaves.
func (s *Service) audit(ctx context.Context, who, what string, err error) error {
	entry := Entry{Who: who, What: what}
	if err != nil {
		entry.Refused = err.Error()
		s.logger.WarnContext(ctx, "enrolment refused", slog.String("who", who), slog.String("what", what), slog.Any("error", err))
	} else {
		s.logger.InfoContext(ctx, "enrolment done", slog.String("who", who), slog.String("what", what))
	}
	failed := s.auditor.Audit(ctx, entry)
	if failed != nil {
		s.logger.ErrorContext(ctx, "audit record not written", slog.Any("error", failed))
	}
	if err == nil && failed != nil {
		return &fault.Error{Op: "write audit record", Kind: fault.Unavailable, Subject: what, Err: failed}
	}
	return err
}

// connection is the TLS state of the caller's connection; zero when it has none.
func connection(ctx context.Context) tls.ConnectionState {
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			return info.State
		}
	}
	return tls.ConnectionState{}
}

// caller is the address of somebody who is not known yet.
func caller(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return "unknown"
}

func wire(chain []*x509.Certificate) [][]byte {
	list := make([][]byte, 0, len(chain))
	for _, c := range chain {
		list = append(list, c.Raw)
	}
	return list
}
