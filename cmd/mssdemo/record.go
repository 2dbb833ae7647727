package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// record is what mssctl prints of an ended call, as far as it is checked here.
type record struct {
	SessionID   string `json:"session_id"`
	End         string `json:"end"`
	Reason      string `json:"reason"`
	Recovered   bool   `json:"recovered"`
	CallerVoice relay  `json:"caller_voice"`
	CalleeVoice relay  `json:"callee_voice"`
}

// relay counts packets at an office: sent to that side of the call, and received from it.
type relay struct {
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
}

func (d *demonstration) record(ctx context.Context) error { return d.records(ctx, false) }

func (d *demonstration) recordRecovered(ctx context.Context) error { return d.records(ctx, true) }

// records wants one record of the call at each office, with the packets that the phones counted. In London the call was
// recovered by a new process, or was not.
func (d *demonstration) records(ctx context.Context, recovered bool) error {
	var errs []error
	for _, office := range []*node.Node{d.london, d.hongkong} {
		r, err := d.oneRecord(ctx, office)
		if err != nil {
			return err
		}
		if err := d.ctl(ctx, office.Site(), office, "cdr", "list"); err != nil {
			return err
		}
		if want := recovered && office == d.london; r.Recovered != want {
			return fmt.Errorf("the record of the call in %s says recovered: %v", office.Site(), r.Recovered)
		}
		d.seen("one record of the call in %s: %s (%s), recovered: %v", office.Site(), r.End, r.Reason, r.Recovered)
		errs = append(errs, d.counts(office.Site(), r))
	}
	return errors.Join(errs...)
}

// oneRecord is the office's only record of the call, which may be a moment late: a BYE is answered before it is on disk.
func (d *demonstration) oneRecord(ctx context.Context, office *node.Node) (record, error) {
	for {
		mine, err := d.recordsIn(ctx, office)
		if err != nil || len(mine) > 1 {
			return record{}, errors.Join(err, fmt.Errorf("the call has %d records in %s, not one", len(mine), office.Site()))
		}
		if len(mine) == 1 {
			return mine[0], nil
		}
		if err := rest(ctx, recordWait); err != nil {
			return record{}, fmt.Errorf("the call has no record in %s: %w", office.Site(), err)
		}
	}
}

// recordWait is how often the office is asked for its record.
const recordWait = 50 * time.Millisecond

func (d *demonstration) recordsIn(ctx context.Context, office *node.Node) ([]record, error) {
	text, err := office.Ctl(ctx, "cdr", "list", "-o", "json")
	if err != nil {
		return nil, err
	}
	var all []record
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	return slices.DeleteFunc(all, func(r record) bool { return r.SessionID != d.session }), nil
}

// counts compares what an office's relay counted with what the phones did: the phone of its own with what it carried
// for it, the far one with what went to and came from the other office.
func (d *demonstration) counts(site string, r record) error {
	var errs []error
	const tolerance, underWay = 0.01, 1 // of the packets, and one that the end of the call overtook
	out, in := d.call.out.Stats(), d.call.in.Stats()
	for _, c := range []struct {
		what         string
		relay, phone uint64
	}{
		{"from " + d.call.out.name(), r.CallerVoice.Received, out.Sent},
		{"to " + d.call.out.name(), r.CallerVoice.Sent, out.Received},
		{"from " + d.call.in.name(), r.CalleeVoice.Received, in.Sent},
		{"to " + d.call.in.name(), r.CalleeVoice.Sent, in.Received},
	} {
		if off := math.Abs(float64(c.relay) - float64(c.phone)); off > tolerance*float64(c.phone)+underWay {
			errs = append(errs, fmt.Errorf("the relay in %s counted %d packets %s, the phone %d", site, c.relay, c.what, c.phone))
			continue
		}
		d.seen("the relay in %s counted %d packets %s, the phone %d", site, c.relay, c.what, c.phone)
	}
	return errors.Join(errs...)
}
