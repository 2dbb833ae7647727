package store

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// bindingRow is a binding as it is stored. Its names are a format: samples of every version are read in tests.
type bindingRow struct {
	Contact    string         `json:"contact"`
	Target     flowRow        `json:"target"`
	Flow       flowRow        `json:"flow"`
	Address    netip.AddrPort `json:"address,omitzero"`
	NAT        bool           `json:"nat,omitempty"`
	Instance   string         `json:"instance,omitempty"`
	RegID      int            `json:"reg_id,omitempty"`
	CallID     string         `json:"call_id"`
	CSeq       uint32         `json:"cseq"`
	Q          registrar.Q    `json:"q"`
	Path       []string       `json:"path,omitempty"`
	UserAgent  string         `json:"user_agent,omitempty"`
	Registered time.Time      `json:"registered"`
	Refreshed  time.Time      `json:"refreshed"`
	Expires    time.Time      `json:"expires"`
}

// flowRow is a flow without its connection number, which means nothing to another process.
type flowRow struct {
	Transport string         `json:"transport"`
	Local     netip.AddrPort `json:"local,omitzero"`
	Remote    netip.AddrPort `json:"remote,omitzero"`
}

func flowToRow(f siptransport.Flow) flowRow {
	return flowRow{f.Transport.Param(), f.Local, f.Remote}
}

func (r flowRow) flow() siptransport.Flow {
	return siptransport.Flow{Transport: transportNamed(r.Transport), Local: r.Local, Remote: r.Remote}
}

func transportNamed(name string) siptransport.Transport {
	for _, t := range []siptransport.Transport{siptransport.UDP, siptransport.TCP, siptransport.TLS} {
		if t.Param() == name {
			return t
		}
	}
	return 0
}

// waitingBindings bounds the changes that wait while the disk takes none; what goes beyond is not written.
const waitingBindings = 200_000

// SaveBindings queues changes of bindings and returns at once. done is as in SaveCall: it may be nil. After a
// loss of the newest ones phones are found again when they refresh.
func (s *Store) SaveBindings(changes []registrar.Change, done func(error)) error {
	return s.enqueue(func(b *batch) error {
		for i := range changes {
			id := changes[i].Binding.ID()
			if _, ok := b.bindings[id]; ok || len(b.bindings) < waitingBindings {
				b.bindings[id] = changes[i]
			}
		}
		b.note(done)
		return nil
	})
}

// forgetExpired removes bindings that ran out while nobody was there to see it. A day is left for clocks
// that were wrong. When the disk takes nothing they stay: they do no harm but take space.
func (s *Store) forgetExpired(now time.Time) {
	err := s.writer.do(0, func(tx *transaction) error {
		return tx.exec(deleteExpired, now.Add(-24*time.Hour).UnixNano())
	})
	if err != nil {
		s.options.Logger.Warn("bindings that have expired stay in the store", "error", err)
	}
}

func writeBinding(tx *transaction, id registrar.BindingID, c registrar.Change) error {
	if c.Action == registrar.Delete {
		return tx.exec(deleteBinding, string(id.AoR), id.URI)
	}
	b := &c.Binding
	text, err := json.Marshal(&bindingRow{
		Contact: b.Contact, Target: flowToRow(b.Target), Flow: flowToRow(b.Flow), Address: b.Address, NAT: b.NAT,
		Instance: b.Instance, RegID: b.RegID, CallID: b.CallID, CSeq: b.CSeq, Q: b.Q, Path: b.Path, UserAgent: b.UserAgent,
		Registered: b.Registered, Refreshed: b.Refreshed, Expires: b.Expires,
	})
	if err != nil {
		return err
	}
	return tx.exec(putBinding, string(id.AoR), id.URI, b.Expires.UnixNano(), text)
}

// LoadBindings reads what [registrar.Registrar.Restore] takes; those that have expired meanwhile too.
func (s *Store) LoadBindings() ([]registrar.Binding, error) {
	return load(s, "load bindings", "SELECT aor, uri, data FROM bindings", func(scan func(...any) error) (registrar.Binding, error) {
		var aor, uri string
		var text []byte
		if err := scan(&aor, &uri, &text); err != nil {
			return registrar.Binding{}, err
		}
		var r bindingRow
		if err := json.Unmarshal(text, &r); err != nil {
			return registrar.Binding{}, err
		}
		return r.binding(federation.User(aor), uri), nil
	})
}

func (r *bindingRow) binding(aor federation.User, uri string) registrar.Binding {
	return registrar.Binding{
		AoR: aor, RequestURI: uri,
		Contact: r.Contact, Target: r.Target.flow(), Flow: r.Flow.flow(), Address: r.Address, NAT: r.NAT,
		Instance: r.Instance, RegID: r.RegID, CallID: r.CallID, CSeq: r.CSeq, Q: r.Q, Path: r.Path, UserAgent: r.UserAgent,
		Registered: r.Registered, Refreshed: r.Refreshed, Expires: r.Expires,
	}
}
