package admin

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/mss-federation/mss/pkg/identity"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

// Every method of mss.tmss.v1 and mss.common.v1 has a rule, and every rule a method.
func TestEveryMethodHasARule(t *testing.T) {
	t.Parallel()
	known := map[string]bool{exchangev1.Exchange_Session_FullMethodName: true}
	note := func(file protoreflect.FileDescriptor) bool {
		services := file.Services()
		for i := range services.Len() {
			methods := services.Get(i).Methods()
			for j := range methods.Len() {
				known["/"+string(services.Get(i).FullName())+"/"+string(methods.Get(j).Name())] = true
			}
		}
		return true
	}
	protoregistry.GlobalFiles.RangeFilesByPackage("mss.tmss.v1", note)
	protoregistry.GlobalFiles.RangeFilesByPackage("mss.common.v1", note)
	if len(known) < 18 {
		t.Fatalf("only %d methods seen", len(known))
	}
	for full := range known {
		if _, ok := Rules[full]; !ok {
			t.Errorf("%s has no access rule", full)
		}
	}
	for full, rule := range Rules {
		if !known[full] {
			t.Errorf("the rule for %s is for no method", full)
		}
		if rule.Writes && (len(rule.Roles) != 1 || rule.Roles[0] != identity.Operator) {
			t.Errorf("%s writes and is for %v: only operators change things", full, rule.Roles)
		}
	}
}

// The API registers nothing that has no rule: a server would not start.
func TestRegisters(t *testing.T) {
	t.Parallel()
	s := grpc.NewServer()
	New(Options{}).Register(s)
	for service, info := range s.GetServiceInfo() {
		for _, m := range info.Methods {
			if _, ok := Rules["/"+service+"/"+m.Name]; !ok {
				t.Errorf("/%s/%s has no access rule", service, m.Name)
			}
		}
	}
}
