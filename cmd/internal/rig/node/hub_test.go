package node

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig"
)

// limit is patience for programs that really run; the machine may be busy.
func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// A domain of one hub and one office comes up, and its end leaves nothing.
func TestHubAndOffice(t *testing.T) {
	t.Parallel()
	bin, err := rig.Build()
	if err != nil {
		t.Fatal(err)
	}
	ctx := limit(t)
	h, err := StartHub(ctx, HubOptions{Bin: bin})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.AddSite(ctx, "london", "4xxx"); err != nil {
		t.Error(err)
	}
	token, err := h.SiteToken(ctx, "london")
	if err != nil {
		t.Error(err)
	}
	n, err := Start(ctx, Options{Bin: bin, Numbers: []string{"4xxx"}, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{n.WaitUplink(ctx, "a"), h.WaitRoutes(ctx, "london")} {
		if err != nil {
			t.Error(err)
		}
	}
	hurry, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := h.WaitRoutes(hurry, "london", "hongkong"); err == nil || !strings.Contains(err.Error(), "[hongkong]") {
		t.Errorf("routes of an office that there is not: %v", err)
	}
	if h.PID(Directory) == 0 {
		t.Error("the hub has no directory")
	}
	for _, err := range []error{n.Stop(), n.Remove(), h.Stop(), h.Remove()} {
		if err != nil {
			t.Error(err)
		}
	}
}
