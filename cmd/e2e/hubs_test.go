package e2e

import (
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// has waits until a hub sends calls for a prefix to a node.
func has(t *testing.T, h *node.Hub, prefix, hop string) {
	t.Helper()
	ctx := limit(t)
	for {
		routes, err := h.Routes(ctx)
		for _, r := range routes {
			if r.Prefix == prefix && r.Rank == 1 && r.NextHop == hop && !r.Down {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("hub %s has no way to %s over %s: %+v, %v", h.Name(), prefix, hop, routes, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
