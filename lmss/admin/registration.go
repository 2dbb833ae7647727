package admin

import (
	"cmp"
	"slices"

	"google.golang.org/grpc"

	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/pkg/adminapi"
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
