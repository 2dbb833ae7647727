package hub

import (
	"context"
	"crypto/tls"
	"path/filepath"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/enrolment"
	"github.com/mss-federation/mss/tmss/discovery"
	"github.com/mss-federation/mss/tmss/enrol"
)

const opIdentity = "load the hub's identity"

// loadIdentity reads who this hub is. A hub whose certificate has expired while it was off issues itself another.
func (h *hub) loadIdentity(dir string) error {
	path := filepath.Join(dir, identity.NodeFile)
	credentials, err := identity.LoadCredentials(path)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return fault.New(opIdentity, fault.NotFound, path,
			"this hub belongs to no domain yet: begin one with `tmss init`, or join one with `tmss join` and a token of `mssctl hub token "+h.self.ID+"`")
	}
	if err != nil {
		return err
	}
	if credentials.Node != h.self {
		return fault.New(opIdentity, fault.Conflict, path, "these are the credentials of "+credentials.Node.URI()+
			", and the configuration is that of "+h.self.URI()+": correct hub, domain or state_dir")
	}
	if h.authorities, err = enrol.LoadAuthorities(dir); err != nil {
		return err
	}
	renew := h.authorities.SelfIssue(h.self)
	if phase := identity.RenewalOf(credentials.Leaf(), time.Now()).Phase; phase == identity.Expired || phase == identity.Lost {
		if credentials, err = renew(context.Background()); err != nil {
			return err
		}
		if err := credentials.Save(path); err != nil {
			h.options.Logger.Warn("new certificate not stored", "err", err)
		}
	}
	h.source = identity.NewSource(credentials)
	h.trust = identity.NewTrust(h.self.Domain, credentials.Root)
	h.keeper = &enrolment.Keeper{Source: h.source, Path: path, Renew: renew, Logger: h.options.Logger}
	return nil
}

// identify names the peer of a trunk. One that may not be here is a stranger.
func (h *hub) identify(state tls.ConnectionState) (federation.NodeID, error) {
	node, err := h.trust.Check(state)
	if err != nil {
		return "", err
	}
	return node.NodeID(), h.admit(node.NodeID())
}

// believed says whether the certificate of a connection is still good.
func (h *hub) believed(state tls.ConnectionState) error {
	_, err := h.trust.Check(state)
	return err
}

// token makes a join token for a node.
func (h *hub) token(ctx context.Context, node identity.Node, by string) (string, time.Time, error) {
	expires := time.Now().Add(identity.TokenLifetime)
	self := h.entry()
	hubs := hubAddresses(&self)
	if node.Role == identity.Site { // a hub's token is good only where the root key is
		for _, other := range h.directory.View().Hubs {
			if string(other.ID) != h.self.ID && other.Gone.IsZero() {
				hubs = append(hubs, hubAddresses(&other)...)
			}
		}
	}
	text, err := enrol.NewToken(ctx, h.directory, node, hubs, h.authorities.Issuing(), by)
	return text, expires, err
}

// hubAddresses are where a hub takes who joins.
func hubAddresses(hub *discovery.Hub) (list []identity.HubAddress) {
	for _, address := range hub.GRPCAddresses() {
		list = append(list, identity.HubAddress{Hub: string(hub.ID), Address: address})
	}
	return list
}
