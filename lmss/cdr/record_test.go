package cdr

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
)

var began = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)

func sample() Record {
	return Record{
		ID: NewID(began), SessionID: "0123456789abcdef0123456789abcdef", CallID: "a@example.org", LegCallIDs: []string{"b"},
		Caller: "4001", Called: "1001", Callee: "1002", Source: "udp 192.0.2.7:5060", Destination: "tcp 192.0.2.8:5060",
		SetupAt: began, RingAt: began.Add(time.Second), AnswerAt: began.Add(3 * time.Second), EndAt: began.Add(63250 * time.Millisecond),
		Termination: federation.Termination{Class: federation.Completed, Reason: "hang-up", By: federation.ByCaller},
		Status:      200, Recovered: true, Unprotected: true,
		CallerVoice: Voice{Sent: 1, Received: 2, Lost: 3, Jitter: 4, Codec: "PCMA"}, CalleeVoice: Voice{Sent: 5},
	}
}

func TestIDsAreUniqueAndSortByTime(t *testing.T) {
	t.Parallel()
	seen := map[ID]bool{}
	last := ID("")
	for i := range 1000 {
		id := NewID(began.Add(time.Duration(i) * time.Millisecond))
		if seen[id] || id <= last || len(id) != 26 {
			t.Fatalf("%s after %s", id, last)
		}
		seen[id], last = true, id
	}
	if a, b := NewID(began), NewID(began); a == b || a[:9] != b[:9] {
		t.Errorf("two calls of one moment: %s and %s", a, b)
	}
}

func TestKeepsEverything(t *testing.T) {
	t.Parallel()
	want := sample()
	for v, i := reflect.ValueOf(want), 0; i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Fatalf("the sample has no %s", v.Type().Field(i).Name)
		}
	}
	var got Record
	if err := got.Read(want.Append(nil)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	r := sample()
	if r.Duration() != 60250*time.Millisecond || r.RingTime() != 3*time.Second || !r.Answered() {
		t.Errorf("answered: %v, rang %v", r.Duration(), r.RingTime())
	}
	r.AnswerAt = time.Time{}
	if r.Duration() != 0 || r.RingTime() != 63250*time.Millisecond || r.Answered() {
		t.Errorf("unanswered: %v, rang %v", r.Duration(), r.RingTime())
	}
	r.EndAt = began.Add(-time.Hour)
	if r.RingTime() != 0 {
		t.Errorf("the clock was set back: %v", r.RingTime())
	}
}

func TestRow(t *testing.T) {
	t.Parallel()
	r := sample()
	want := "2026-03-01 09:30:00|4001|1001|1002|200|1m0.3s|completed|caller|hang-up|RU"
	if got := strings.Join(r.Row(time.UTC), "|"); got != want {
		t.Errorf("row %s, want %s", got, want)
	}
	if got, want := strings.Join((&Record{}).Row(time.UTC), ""), strings.Repeat("-", len(Columns())); got != want {
		t.Errorf("the empty row is %s, want %s", got, want)
	}
}
