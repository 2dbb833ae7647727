package admin

import (
	"cmp"
	"slices"

	"google.golang.org/grpc"

	"github.com/mss-federation/mss/lmss/registrar"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

// registrations serves mss.lmss.v1.Registrations.
type registrations struct {
	lmssv1.UnimplementedRegistrationsServer
	server *Server
}

// ListRegistrations gives the bindings, lost ones too: an operator looks for what does not work.
func (s *registrations) ListRegistrations(req *lmssv1.ListRegistrationsRequest, stream grpc.ServerStreamingServer[lmssv1.ListRegistrationsResponse]) error {
	var list []registrar.Binding
	for b := range s.server.options.Registrar.All() {
		if req.GetUser() == "" || string(b.AoR) == req.GetUser() {
			list = append(list, b)
		}
	}
	slices.SortFunc(list, func(a, b registrar.Binding) int {
		return cmp.Or(cmp.Compare(a.AoR, b.AoR), cmp.Compare(a.RequestURI, b.RequestURI))
	})
	for i := range list {
		if err := stream.Send(&lmssv1.ListRegistrationsResponse{Registration: registrationMessage(&list[i])}); err != nil {
			return err
		}
	}
	return nil
}

func registrationMessage(b *registrar.Binding) *lmssv1.Registration {
	m := &lmssv1.Registration{
		User: string(b.AoR), Contact: wireText(b.RequestURI), Transport: b.Flow.Transport.Param(),
		Source: addressText(b.Flow.Remote), Local: addressText(b.Flow.Local),
		Nat: b.NAT, Lost: b.Lost, Instance: wireText(b.Instance), Q: int32(b.Q), UserAgent: wireText(b.UserAgent),
		Registered: timeMessage(b.Registered), Refreshed: timeMessage(b.Refreshed), Expires: timeMessage(b.Expires),
	}
	if b.Target != b.Flow {
		m.Target = addressText(b.Target.Remote)
	}
	return m
}
