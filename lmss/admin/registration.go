package admin

import (
	"cmp"
	"slices"

	"google.golang.org/grpc"

	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/federation"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

// registrations serves mss.lmss.v1.Registrations.
type registrations struct {
	lmssv1.UnimplementedRegistrationsServer
	server *Server
}

// ListRegistrations gives the bindings, lost ones too: an operator looks for what does not work. Only the users' names
// are held for it: the list may be long, and its reader slow.
func (s *registrations) ListRegistrations(req *lmssv1.ListRegistrationsRequest, stream grpc.ServerStreamingServer[lmssv1.ListRegistrationsResponse]) error {
	for _, aor := range s.registered(federation.User(req.GetUser())) {
		account := s.server.options.Registrar.Account(aor)
		slices.SortFunc(account, func(a, b registrar.Binding) int { return cmp.Compare(a.RequestURI, b.RequestURI) })
		for i := range account {
			if err := stream.Send(&lmssv1.ListRegistrationsResponse{Registration: registrationMessage(&account[i])}); err != nil {
				return err
			}
		}
	}
	return nil
}

// registered are the users who have phones, by name, or the one who was asked for.
func (s *registrations) registered(only federation.User) []federation.User {
	if only != "" {
		return []federation.User{only}
	}
	var users []federation.User
	for b := range s.server.options.Registrar.All() {
		users = append(users, b.AoR)
	}
	slices.Sort(users)
	return slices.Compact(users)
}

func registrationMessage(b *registrar.Binding) *lmssv1.Registration {
	m := &lmssv1.Registration{
		User: string(b.AoR), Contact: adminapi.Text(b.RequestURI), Transport: b.Flow.Transport.Param(),
		Source: adminapi.Address(b.Flow.Remote), Local: adminapi.Address(b.Flow.Local),
		Nat: b.NAT, Lost: b.Lost, Instance: adminapi.Text(b.Instance), Q: int32(b.Q), UserAgent: adminapi.Text(b.UserAgent),
		Registered: adminapi.Time(b.Registered), Refreshed: adminapi.Time(b.Refreshed), Expires: adminapi.Time(b.Expires),
	}
	if b.Target != b.Flow {
		m.Target = adminapi.Address(b.Target.Remote)
	}
	return m
}
