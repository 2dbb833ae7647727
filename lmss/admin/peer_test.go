package admin

import (
	"strings"
	"testing"

	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
)

func TestListPeers(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *Options) {
		o.Peers = func() []*commonv1.Peer {
			return []*commonv1.Peer{
				{Node: "hub/b", Preference: 1, Session: commonv1.Session_SESSION_UP, Trunk: "alive"},
				{Node: "hub/a", Preference: 2, Session: commonv1.Session_SESSION_DOWN, Reason: "refused"},
			}
		}
	})
	client := commonv1.NewPeersClient(s.conn)
	for asked, want := range map[string]string{"": "hub/a hub/b", "hub/b": "hub/b", "hub/c": ""} {
		stream, err := client.ListPeers(t.Context(), &commonv1.ListPeersRequest{Node: asked})
		var got []string
		for _, m := range receive(t, stream, err) {
			got = append(got, m.GetPeer().GetNode())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("asked for %q: %v, want %s", asked, got, want)
		}
	}
}
