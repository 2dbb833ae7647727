package faultgrpc

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mss-federation/mss/pkg/fault"
)

// Every kind, also one that is added later, has a code of its own and comes back as itself.
func TestEveryKindComesBack(t *testing.T) {
	t.Parallel()
	used := map[codes.Code]fault.Kind{}
	for kind := fault.Internal; kind == fault.Internal || kind.String() != fault.Internal.String(); kind++ {
		code := Code(kind)
		if other, ok := used[code]; ok {
			t.Errorf("%v and %v share the code %v: add a row to the table", kind, other, code)
		}
		used[code] = kind

		sent := &fault.Error{Op: "add user", Kind: kind, Subject: "4001", Err: errors.New("say why: and what to do")}
		got := Error("other", Status(fmt.Errorf("handler: %w", sent)))
		if fault.KindOf(got) != kind || got.Error() != sent.Error() {
			t.Errorf("%v came back as %v: %q", kind, fault.KindOf(got), got)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	already := status.Error(codes.Aborted, "as it is")
	for name, c := range map[string]struct {
		err  error
		want codes.Code
	}{
		"nil":      {nil, codes.OK},
		"plain":    {errors.New("x"), codes.Internal},
		"status":   {already, codes.Aborted},
		"canceled": {fmt.Errorf("x: %w", context.Canceled), codes.Canceled},
		"deadline": {context.DeadlineExceeded, codes.DeadlineExceeded},
		"no cause": {&fault.Error{Op: "x", Kind: fault.Denied}, codes.PermissionDenied},
	} {
		if got := status.Code(Status(c.err)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestErrorOfOthers(t *testing.T) {
	t.Parallel()
	if Error("x", nil) != nil {
		t.Error("nil must stay nil")
	}
	for name, c := range map[string]struct {
		err  error
		want fault.Kind
	}{
		"grpc's own":    {status.Error(codes.Unavailable, "connection refused"), fault.Unavailable},
		"unimplemented": {status.Error(codes.Unimplemented, "unknown method"), fault.Denied},
		"aborted":       {status.Error(codes.Aborted, "x"), fault.Conflict},
		"data loss":     {status.Error(codes.DataLoss, "x"), fault.Internal},
		"context":       {context.DeadlineExceeded, fault.Timeout},
		"plain":         {errors.New("x"), fault.Internal},
	} {
		got := Error("list users", c.err)
		if f, ok := errors.AsType[*fault.Error](got); !ok || f.Kind != c.want || f.Op != "list users" {
			t.Errorf("%s: %v", name, got)
		}
	}
}
