package admin

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

// Every method of mss.lmss.v1 and mss.common.v1 has a rule, and every rule a method.
func TestEveryMethodHasARule(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	note := func(file protoreflect.FileDescriptor) bool {
		services := file.Services()
		for i := range services.Len() {
			methods := services.Get(i).Methods()
			for j := range methods.Len() {
				full := "/" + string(services.Get(i).FullName()) + "/" + string(methods.Get(j).Name())
				known[full] = true
				if _, ok := rules[full]; !ok {
					t.Errorf("%s has no access rule", full)
				}
			}
		}
		return true
	}
	protoregistry.GlobalFiles.RangeFilesByPackage("mss.lmss.v1", note)
	protoregistry.GlobalFiles.RangeFilesByPackage("mss.common.v1", note)
	if len(known) < 13 {
		t.Fatalf("only %d methods seen", len(known))
	}
	for full := range rules {
		if !known[full] {
			t.Errorf("the rule for %s is for no method", full)
		}
	}
}

// A request that panics ends alone.
func TestPanicEndsItsRequestAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *Options) { o.Status = func(context.Context) Status { panic("at the disco") } })
	client := lmssv1.NewNodeClient(s.conn)
	for range 2 {
		if _, err := client.GetStatus(t.Context(), &lmssv1.GetStatusRequest{}); status.Code(err) != codes.Internal {
			t.Errorf("got %v", err)
		}
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	client := grpc_health_v1.NewHealthClient(s.conn)
	for step, ready := range []bool{false, true, false} {
		want := grpc_health_v1.HealthCheckResponse_NOT_SERVING
		if ready {
			want = grpc_health_v1.HealthCheckResponse_SERVING
		}
		if step > 0 { // before anybody says so, a node is not ready
			s.server.SetReady(ready)
		}
		if got, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil || got.GetStatus() != want {
			t.Errorf("ready %v: %v, %v", ready, got, err)
		}
	}
}
