package admin

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/mss-federation/mss/pkg/fault"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
	mediav1 "github.com/mss-federation/mss/proto/mss/media/v1"
)

// Every method of mss.lmss.v1 has a rule, and every rule a method.
func TestEveryMethodHasARule(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	protoregistry.GlobalFiles.RangeFilesByPackage("mss.lmss.v1", func(file protoreflect.FileDescriptor) bool {
		services := file.Services()
		for i := range services.Len() {
			methods := services.Get(i).Methods()
			for j := range methods.Len() {
				full := "/" + string(services.Get(i).FullName()) + "/" + string(methods.Get(j).Name())
				known[full] = true
				if rules[full] == 0 {
					t.Errorf("%s has no access rule", full)
				}
			}
		}
		return true
	})
	if len(known) < 10 {
		t.Fatalf("only %d methods seen", len(known))
	}
	for full := range rules {
		if !known[full] && !strings.HasPrefix(full, "/grpc.health.v1.") {
			t.Errorf("the rule for %s is for no method", full)
		}
	}
}

// A service that nobody thought of is noticed.
func TestMethodsWithoutRule(t *testing.T) {
	t.Parallel()
	s := grpc.NewServer()
	lmssv1.RegisterNodeServer(s, lmssv1.UnimplementedNodeServer{})
	if missing := methodsWithoutRule(s); len(missing) != 0 {
		t.Errorf("missing %v", missing)
	}
	mediav1.RegisterMediaServer(s, mediav1.UnimplementedMediaServer{})
	if missing := methodsWithoutRule(s); len(missing) != 1 || missing[0] != mediav1.Media_Control_FullMethodName {
		t.Errorf("missing %v", missing)
	}
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	from := func(c Caller) context.Context {
		return peer.NewContext(context.Background(), &peer.Peer{AuthInfo: c})
	}
	own, stranger := Caller{UID: os.Geteuid()}, Caller{UID: os.Geteuid() + 1}
	method := lmssv1.Node_GetStatus_FullMethodName
	for name, c := range map[string]struct {
		ctx    context.Context
		method string
		want   fault.Kind
	}{
		"stranger":       {from(stranger), method, fault.Denied},
		"no credentials": {context.Background(), method, fault.Unauthenticated},
		"no rule":        {from(own), "/mss.lmss.v1.Node/Destroy", fault.Denied},
	} {
		if _, err := authorize(c.ctx, c.method); err == nil || fault.KindOf(err) != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for name, c := range map[string]Caller{"own user": own, "root": {UID: 0}} {
		if _, err := authorize(from(c), method); err != nil {
			t.Errorf("%s: %v", name, err)
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

// The socket is for its user alone; what a dead process left is replaced; what lives or is no socket is not.
func TestListen(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	listener, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	if _, err := Listen(path); fault.KindOf(err) != fault.Conflict {
		t.Errorf("somebody answers there: %v", err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false) // as if it were killed
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if listener, err = Listen(path); err != nil {
		t.Fatalf("after a kill: %v", err)
	}
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stayed: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a file is there: %v", err)
	}
	if _, err := Listen("/tmp/" + strings.Repeat("x", 120)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a long path: %v", err)
	}
}
