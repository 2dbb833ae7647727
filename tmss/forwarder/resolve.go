package forwarder

import (
	"bytes"
	"errors"
	"net/netip"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptx"
	"github.com/mss-federation/mss/tmss/cookie"
)

// course is where a request goes.
type course struct {
	popped int               // Route values that are ours and fall away
	node   federation.NodeID // the next node by a cookie; empty when a number is to be looked up
}

// resolve reads the Route of a request (RFC 3261 §16.4, §16.6 step 6). A cookie that fits is ours if we wrote it, if
// the hub that did is not alive, would send the request here next, or hands it to us itself; otherwise it goes to that
// hub.
func (h *handler) resolve(req *siptx.Request, sender federation.NodeID) (course, *refusal) {
	h.routes = readRoutes(h.routes[:0], req.Raw, req.Head)
	var c course
	for c.popped < len(h.routes) {
		top := &h.routes[c.popped]
		if top.cookie == nil {
			if c.node != "" || !h.namesUs(req, top) {
				break
			}
			c.popped++
			continue
		}
		ours, refused := h.follow(req, sender, top, &c)
		if refused != nil {
			return c, refused
		}
		if !ours {
			break
		}
		c.pop(h.routes)
	}
	return c, h.checkCourse(req, sender, c)
}

// pop drops the top value and its double: two are written where transport or address family change
// (RFC 5658), with one cookie.
func (c *course) pop(routes []routeEntry) {
	text := routes[c.popped].cookie
	for c.popped < len(routes) && bytes.Equal(routes[c.popped].cookie, text) {
		c.popped++
	}
}

// follow takes the cookie of the top Route into account. It is not ours if somebody else has to pop it.
func (h *handler) follow(req *siptx.Request, sender federation.NodeID, top *routeEntry, c *course) (ours bool, _ *refusal) {
	head := req.Head
	said, direction, err := h.Keys.Verify(top.cookie, head.CallID.Of(req.Raw), head.FromTag.Of(req.Raw), head.ToTag.Of(req.Raw), h.w.Now())
	switch {
	case err != nil && c.node != "":
		return false, nil // behind ours: not our business
	case err != nil:
		node, refused := h.misfit(req, sender, said, err)
		c.node = node
		return true, refused
	case said.By != h.Self && said.By != sender && said.Next(direction) != h.Self && h.alive(said.By):
		c.node = said.By
		return false, nil
	}
	c.node = said.Next(direction)
	return true, nil
}

// misfit decides about a cookie that does not verify. A node of the domain may have a call that is older than
// the keys: what the cookie claims is believed as far as it makes the request go on from there.
func (h *handler) misfit(req *siptx.Request, sender federation.NodeID, said cookie.Cookie, err error) (federation.NodeID, *refusal) {
	h.metrics.misfits.Add(1)
	h.Logger.Warn("cookie does not verify", "node", string(sender), "call_id", string(req.Head.CallID.Of(req.Raw)), "err", err)
	if !isNode(sender) || errors.Is(err, cookie.ErrMalformed) || !req.Head.ToTag.Present() {
		return "", &refusal{status: 403, reason: "Route Not Ours"}
	}
	switch sender {
	case said.In:
		return said.Out, nil
	case said.Out:
		return said.In, nil
	}
	return "", &refusal{status: 403, reason: "Route Not Ours"}
}

// namesUs says whether a Route without a cookie is this hub, as a node or trunk may have it configured.
func (h *handler) namesUs(req *siptx.Request, r *routeEntry) bool {
	if h.Host != "" && string(r.uri.host) == h.Host {
		return true
	}
	us := h.SentBy(req.Flow)
	host, err := netip.ParseAddrPort(string(r.uri.host))
	return err == nil && host == us
}

// alive says whether a hub can be sent to.
func (h *handler) alive(hub federation.NodeID) bool {
	link, ok := h.Links.Best(hub)
	return ok && link.State == nodelink.Alive
}

// checkCourse refuses what cannot go on: a Route that is somebody else's, a request inside a call that says
// nothing of where it goes, and the way back to its sender.
func (h *handler) checkCourse(req *siptx.Request, sender federation.NodeID, c course) *refusal {
	inside := req.Head.ToTag.Present()
	switch {
	case c.node == "" && c.popped < len(h.routes):
		return &refusal{status: 403, reason: "Route Not Ours"}
	case c.node == "" && inside:
		return &refusal{status: 403, reason: "No Route In Call"}
	case c.node == h.Self, c.node != "" && c.node == sender:
		if inside {
			return &refusal{status: 503, reason: "Route Leads Back"}
		}
		return &refusal{status: 403, reason: "Route Leads Back"}
	}
	return nil
}
