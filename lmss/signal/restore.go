package signal

import (
	"time"

	"github.com/mss-federation/mss/lmss/call"
	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/lmss/store"
	"github.com/mss-federation/mss/pkg/federation"
)

// leftovers is what the last process left: calls that are up, and notes of those that were being set up
// or had just ended.
type leftovers struct {
	calls map[*call.Call]*call.Runner
	ended map[*call.Call]*call.Note // the call's end was noted, its CDR not written
	notes map[string]*call.Note
}

// restore loads registrations and calls. Calls whose restoring panics are set aside, not tried for ever.
func (p *prepared) restore(s *site) (*leftovers, error) {
	left := &leftovers{
		calls: map[*call.Call]*call.Runner{}, ended: map[*call.Call]*call.Note{}, notes: map[string]*call.Note{},
	}
	if p.store == nil {
		return left, nil
	}
	bindings, err := p.store.LoadBindings()
	if err != nil {
		return nil, err
	}
	s.bindings.Restore(time.Now(), bindings)
	if err := left.readNotes(p); err != nil {
		return nil, err
	}
	stored, err := p.store.LoadCalls()
	if err != nil {
		return nil, err
	}
	for i := range stored {
		left.restoreCall(p, s, &stored[i])
	}
	if len(stored) > 0 || len(left.notes) > 0 {
		p.logger.Info("restored after a restart", "calls", len(left.calls), "of", len(stored), "notes", len(left.notes), "registrations", len(bindings))
	}
	return left, nil
}

func (l *leftovers) readNotes(p *prepared) error {
	notes, err := p.store.Notes().Load()
	if err != nil {
		return err
	}
	for _, n := range notes {
		if p.isOver(n.ID) {
			continue
		}
		var note call.Note
		if err := note.Read(n.Data); err != nil {
			p.logger.Warn("note of a call not readable", "call", n.ID, "err", err)
			continue
		}
		l.notes[n.ID] = &note
	}
	return nil
}

// isOver says that the record of a noted call is closed and on the disk: the disk was full when the note was to go, or
// the process died between the two. Its phones have long heard of the end.
func (p *prepared) isOver(id string) bool {
	closed, err := p.store.QueryCDRs(store.RecordFilter{ID: cdr.ID(id)})
	if err == nil && len(closed) > 0 {
		err = p.store.Notes().Drop(id)
	}
	if err != nil {
		p.logger.Warn("note of a call not compared with its record", "call", id, "err", err)
	}
	return len(closed) > 0
}

// restoreCall brings one call back to the worker that its own Call-ID names.
func (l *leftovers) restoreCall(p *prepared, s *site, stored *store.StoredCall) {
	id, data := stored.ID, stored.Data
	defer func() {
		if v := recover(); v != nil {
			p.logger.Error("restoring a call panicked; it is set aside", "call", id, "panic", v)
			p.setAside(stored)
		}
	}()
	home, err := call.HomeCallID(data)
	if err != nil {
		p.logger.Error("stored call not readable; it is set aside", "call", id, "err", err)
		p.setAside(stored)
		return
	}
	index := s.stack.Home(home)
	runner := s.runners[index]
	c, voices, err := runner.Restore(data)
	if err != nil {
		p.logger.Error("stored call not restored; it is set aside", "call", id, "err", err)
		p.setAside(stored)
		return
	}
	for _, v := range voices {
		if p.client != nil {
			p.client.Restore(v.Spec, v.Peer)
		}
	}
	for _, callID := range c.CallIDs() {
		s.stack.Adopt(callID, index)
	}
	l.calls[c] = runner
	if note := l.notes[id]; note != nil {
		if note.Ended != nil {
			l.ended[c] = note
		}
		delete(l.notes, id)
	}
}

// setAside closes the CDR of a call that cannot be restored, so that it is counted once and not tried again.
func (p *prepared) setAside(stored *store.StoredCall) {
	record := stored.CDR
	record.EndAt, record.Recovered = time.Now(), true
	record.Termination = federation.Termination{Class: federation.Lost, Reason: "not restored", By: federation.BySystem}
	if err := p.store.CloseCall(stored.ID, record, nil); err != nil {
		p.logger.Error("call not set aside", "call", stored.ID, "err", err)
	}
}

// resume puts the calls to work on their owners, and ends what had no answer yet.
func (l *leftovers) resume(s *site) {
	for c, runner := range l.calls {
		runner.Resume(c, l.ended[c])
	}
	for id, note := range l.notes {
		home := noteHome(s, note)
		s.stack.Adopt(note.CDR.CallID, home) // the ACK to its refusal is wanted there
		s.runners[home].EndNoted(id, note)
	}
}

// noteHome is the worker that hears what comes of the noted INVITEs: the one that their Call-IDs name.
func noteHome(s *site, note *call.Note) int {
	if len(note.CDR.LegCallIDs) == 0 {
		return 0
	}
	return s.stack.Home(note.CDR.LegCallIDs[0])
}
