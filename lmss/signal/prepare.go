package signal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mss-federation/mss/lmss/admin"
	"github.com/mss-federation/mss/lmss/call"
	"github.com/mss-federation/mss/lmss/config"
	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/lmss/store"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/digest"
	"github.com/mss-federation/mss/pkg/media"
	"github.com/mss-federation/mss/pkg/siptx"
)

// prepared is what exists before the site is assembled: store, users, the way to the media process.
type prepared struct {
	parts
	store  *store.Store  // nil: off
	client *media.Client // nil: voice is not anchored
	site   *site         // set before the client runs
}

// prepare opens the store and reads the configuration into parts.
func prepare(o *Options) (*prepared, error) {
	c := &o.Config
	p := &prepared{parts: configured(c)}
	p.network, p.logger = o.Network, o.Logger
	p.dns = resolver(c.DNS)
	if c.Store.Enabled.On() {
		opened, err := store.Open(c.StateDir, store.Options{ReserveBytes: int64(c.Store.Reserve), Logger: o.Logger})
		if err != nil {
			return nil, err
		}
		p.store = opened
		p.parts.store, p.notes, p.persist = opened, opened.Notes(), p.saveBindings
	}
	if err := p.openUplink(o); err != nil {
		p.close()
		return nil, err
	}
	var err error
	if p.users, err = p.loadUsers(c); err != nil {
		p.close()
		return nil, err
	}
	if c.Media.Anchor.On() {
		p.client = media.Dial(media.ClientOptions{Socket: c.Media.Socket, Logger: o.Logger, OnSilent: p.silent, OnLost: p.lost})
		p.media = p.client
	}
	return p, nil
}

// saveBindings queues changes; what is not kept comes back with the phone's next REGISTER.
func (p *prepared) saveBindings(changes []registrar.Change, done func()) {
	stored := func(err error) {
		if err != nil {
			p.logger.Warn("registrations not stored", "err", err)
		}
		if done != nil {
			done()
		}
	}
	if err := p.store.SaveBindings(changes, stored); err != nil {
		stored(err)
	}
}

func (p *prepared) close() {
	p.dns.Close()
	if p.store == nil {
		return
	}
	if err := p.store.Close(); err != nil {
		p.logger.Error("store not closed", "err", err)
	}
}

// silent tells the owner of an endpoint that nothing is heard there.
func (p *prepared) silent(endpoint uint64) {
	for i, r := range p.site.runners {
		if err := p.site.stack.Worker(i).Post(func() { r.Silent(endpoint) }); err != nil {
			p.logger.Debug("event after the end of its worker", "err", err)
		}
	}
}

// lost tells of voice that could not be re-created after a restart of the media process. The call stays:
// its parties decide what silence means to them.
func (p *prepared) lost(endpoint uint64, err error) {
	p.logger.Error("a call lost its voice", "endpoint", endpoint, "err", err)
}

// configured is the part of the configuration that needs nothing opened.
func configured(c *config.Config) parts {
	p := parts{
		call: call.Config{
			Domain: c.Realm, Federation: c.Domain, Anchor: c.Media.Anchor.On(), NoAnswer: c.Timers.NoAnswer, NextGroup: c.Timers.NextGroup,
			PersistWait: c.Store.AnswerWait, MediaTimeout: c.Media.Timeout,
		},
		realm: c.Realm, algorithm: digest.MD5, workers: c.Workers, trace: int(c.Trace.Bytes),
		timers:    siptx.Timers{T1: c.Timers.T1, T2: c.Timers.T2, T4: c.Timers.T4, C: c.Timers.C},
		nonceLife: c.Digest.NonceLife,
		registrar: registrar.Options{
			DefaultExpires: c.Registrar.DefaultExpires, MinExpires: c.Registrar.MinExpires, MaxExpires: c.Registrar.MaxExpires,
			MaxBindings: c.Registrar.TotalBindings, PingInterval: c.Registrar.NATPing,
		},
	}
	if strings.EqualFold(c.Digest.Algorithm, "sha-256") {
		p.algorithm = digest.SHA256
	}
	for _, n := range c.Numbers {
		p.plan.Own = append(p.plan.Own, n.Prefix())
	}
	p.told = telling{listen: c.Listen, networks: connected()}.to
	p.voice, p.voiceOther = voiceAddresses(c.Media.Addresses, p.told), otherVoice(c.Media.Addresses, p.told)
	return p
}

// loadUsers takes those of the store, and over them those of the file.
func (p *prepared) loadUsers(c *config.Config) (*user.Directory, error) {
	all := map[string]user.User{}
	if p.store != nil {
		stored, err := p.store.LoadUsers()
		if err != nil {
			return nil, err
		}
		for _, u := range stored {
			if !u.Configured { // what left the file is no user any more
				all[string(u.Name)] = u
			}
		}
	}
	for _, u := range c.Users {
		made, err := u.Make(c.Realm)
		if err != nil {
			return nil, fmt.Errorf("users: %s: %w", u.Name, err)
		}
		if made.MaxBindings == 0 {
			made.MaxBindings = c.Registrar.Bindings
		}
		all[u.Name] = made
	}
	return user.NewDirectory(slices.Collect(maps.Values(all))...)
}

// api makes the admin server.
func (p *prepared) api(s *site, o *Options, m *monitored) *admin.Server {
	options := admin.Options{
		Logger: o.Logger, Site: o.Config.Site, Realm: o.Config.Realm, Users: p.users, Registrar: s.bindings,
		Calls: liveCalls{s}, Trace: s.ring, Store: admin.StoreOff{}, Records: admin.StoreOff{}, Bindings: admin.StoreOff{}, Audits: admin.StoreOff{},
		Level: o.Level, LevelFollowers: m.followers(),
		Peers: s.peers, Status: func(ctx context.Context) admin.Status { return s.status(ctx, o) },
	}
	if p.store != nil {
		options.Status = func(ctx context.Context) admin.Status {
			st := s.status(ctx, o)
			if alarm := p.store.Alarm(); alarm != "" {
				st.Alarms = append(st.Alarms, alarm)
			}
			return st
		}
		options.Store, options.Records, options.Bindings, options.Audits = p.store, p.store, p.store, p.store
	}
	return admin.New(options)
}
