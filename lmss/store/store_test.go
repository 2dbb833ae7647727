package store

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// open opens a store in dir and closes it with the test.
func open(tb testing.TB, dir string, o Options) *Store {
	tb.Helper()
	if o.ReserveBytes == 0 {
		o.ReserveBytes = 1 << 20
	}
	s, err := Open(dir, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error("close:", err)
		}
	})
	return s
}

// run starts the writer; stop drains it. stop may be called more than once.
func run(tb testing.TB, s *Store) (stop func() error) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var err error
	stopped := false
	stop = func() error {
		cancel()
		if !stopped {
			stopped, err = true, <-ended
		}
		return err
	}
	tb.Cleanup(func() { _ = stop() }) // a test that minds calls it itself
	return stop
}

// saved waits for one write.
func saved(tb testing.TB, write func(done func(error)) error) error {
	tb.Helper()
	done := make(chan error, 1)
	if err := write(func(err error) { done <- err }); err != nil {
		return err
	}
	return <-done
}

var began = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)

func record(n int) cdr.Record {
	at := began.Add(time.Duration(n) * time.Second)
	return cdr.Record{
		ID: cdr.ID(fmt.Sprintf("record-%06d", n)), CallID: fmt.Sprintf("call-%d@example.org", n), Caller: "4001", Called: "1001", Callee: "1001",
		SetupAt: at, AnswerAt: at.Add(time.Second), EndAt: at.Add(time.Minute), Status: 200,
		Termination: federation.Termination{Class: federation.Completed, Reason: "hang-up", By: federation.ByCaller},
	}
}

func binding(aor string) registrar.Binding {
	flow := siptransport.Flow{Transport: siptransport.UDP, Local: netip.MustParseAddrPort("192.0.2.1:5060"), Remote: netip.MustParseAddrPort("192.0.2.7:5062")}
	return registrar.Binding{
		AoR: federation.User(aor), Contact: "<sip:" + aor + "@10.0.0.7>", RequestURI: "sip:" + aor + "@10.0.0.7", Flow: flow, Target: flow,
		Address: netip.MustParseAddrPort("10.0.0.7:5060"), NAT: true, Instance: "urn:uuid:1", RegID: 1, CallID: "r1", CSeq: 7, Q: 500,
		Path: []string{"<sip:edge.example.org;lr>"}, UserAgent: "phone/1", Registered: began, Refreshed: began.Add(time.Minute), Expires: began.AddDate(100, 0, 0),
	}
}

func TestEverythingComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	alice := user.User{
		Name: "4001", DisplayName: "Alice", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, MaxBindings: 2, Disabled: true,
		Target: user.Target{Transport: siptransport.TCP, Address: netip.MustParseAddrPort("192.0.2.7:5060")}, Configured: true,
	}
	if err := alice.SetPassword("example.org", "correct horse"); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, Options{})
	stop := run(t, s)
	must(t, s.PutUser(alice, Audit{Who: "uid 0", What: "user add 4001", After: "4001"}))
	bob := user.User{Name: "4002", Target: user.Target{Host: "pbx.example.org", Port: 5070}}
	must(t, s.PutUser(bob, Audit{Who: "uid 0", What: "user add 4002", After: "4002"}))
	must(t, s.SetSetting("realm", "example.org"))
	must(t, s.SaveBindings([]registrar.Change{{Action: registrar.Put, Binding: binding("4001")}, {Action: registrar.Put, Binding: binding("4002")}}, nil))
	must(t, s.SaveBindings([]registrar.Change{{Action: registrar.Delete, Binding: binding("4002")}}, nil))
	must(t, saved(t, func(done func(error)) error { return s.SaveCall("c1", []byte("old"), record(1), done) }))
	must(t, saved(t, func(done func(error)) error { return s.SaveCall("c1", []byte("state"), record(1), done) }))
	must(t, saved(t, func(done func(error)) error { return s.SaveCall("c2", []byte("state"), record(2), done) }))
	for range 2 { // closing twice is closing once
		must(t, saved(t, func(done func(error)) error { return s.CloseCall("c2", record(2), done) }))
	}
	must(t, stop())
	must(t, s.Close())

	s = open(t, dir, Options{})
	users, err := s.LoadUsers()
	must(t, err)
	expect(t, "users", users, []user.User{alice, bob})
	bindings, err := s.LoadBindings()
	must(t, err)
	expect(t, "bindings", bindings, []registrar.Binding{binding("4001")})
	calls, err := s.LoadCalls()
	must(t, err)
	expect(t, "calls", calls, []StoredCall{{"c1", []byte("state"), record(1)}})
	records, err := s.QueryCDRs(RecordFilter{})
	must(t, err)
	expect(t, "records", records, []cdr.Record{record(2)})
	realm, ok, err := s.Setting("realm")
	must(t, err)
	expect(t, "realm", []any{realm, ok}, []any{"example.org", true})
	audit, err := s.LoadAudit(0)
	must(t, err)
	if len(audit) != 2 || audit[1].Who != "uid 0" || audit[1].After != "4001" {
		t.Errorf("audit: %+v", audit)
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func expect(tb testing.TB, what string, got, want any) {
	tb.Helper()
	if !reflect.DeepEqual(got, want) {
		tb.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func TestQueryFilters(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), Options{})
	stop := run(t, s)
	for n := range 5 {
		r := record(n)
		r.Callee = fmt.Sprintf("100%d", n)
		must(t, saved(t, func(done func(error)) error { return s.CloseCall(r.CallID, r, done) }))
	}
	must(t, stop())
	for name, test := range map[string]struct {
		filter RecordFilter
		want   []cdr.ID
	}{
		"newest first": {RecordFilter{Limit: 2}, []cdr.ID{"record-000004", "record-000003"}},
		"since":        {RecordFilter{Since: began.Add(3 * time.Second)}, []cdr.ID{"record-000004", "record-000003"}},
		"until":        {RecordFilter{Until: began.Add(time.Second)}, []cdr.ID{"record-000000"}},
		"user":         {RecordFilter{User: "1002"}, []cdr.ID{"record-000002"}},
		"id":           {RecordFilter{ID: "record-000001"}, []cdr.ID{"record-000001"}},
		"nobody":       {RecordFilter{User: "4711"}, nil},
	} {
		records, err := s.QueryCDRs(test.filter)
		must(t, err)
		var got []cdr.ID
		for _, r := range records {
			got = append(got, r.ID)
		}
		expect(t, name, got, test.want)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir, Options{})
	_, err := Open(dir, Options{})
	if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("second open: %v", err)
	}
}

func TestDeleteUser(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), Options{})
	must(t, s.PutUser(user.User{Name: "4001"}, Audit{What: "add"}))
	must(t, s.DeleteUser("4001", Audit{What: "delete"}))
	if err := s.DeleteUser("4001", Audit{What: "again"}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("deleting nobody: %v", err)
	}
	if state, cause := s.State(); state != Healthy {
		t.Errorf("an operator's mistake made the store %v: %v", state, cause)
	}
	audit, err := s.LoadAudit(0)
	must(t, err)
	if len(audit) != 2 || audit[0].What != "delete" {
		t.Errorf("audit: %+v", audit)
	}
}

func TestAuditChainShowsTampering(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), Options{})
	for i := range 3 {
		must(t, s.AppendAudit(Audit{At: began, Who: "uid 0", What: fmt.Sprint("change ", i)}))
	}
	must(t, s.VerifyAudit())
	_, err := s.writer.mu.conn.ExecContext(t.Context(), "UPDATE audit SET who = 'uid 1' WHERE seq = 2")
	must(t, err)
	if err := s.VerifyAudit(); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), ": 2: ") {
		t.Errorf("a changed entry: %v", err)
	}
}

func TestAfterTheEnd(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), Options{})
	stop := run(t, s)
	must(t, s.CloseCall("c1", record(1), nil)) // written by the drain
	must(t, stop())
	if err := s.SaveCall("c2", nil, record(2), nil); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("save after the end: %v", err)
	}
	if err := s.PutUser(user.User{Name: "4001"}, Audit{}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("user after the end: %v", err)
	}
	records, err := s.QueryCDRs(RecordFilter{})
	must(t, err)
	expect(t, "drained", len(records), 1)
}

func TestFileOfAnotherKind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, databaseName), []byte(strings.Repeat("not a database\n", 1000)), 0o600))
	if _, err := Open(dir, Options{ReserveBytes: -1}); err == nil || !strings.Contains(err.Error(), "move it aside") {
		t.Errorf("a text file: %v", err)
	}
}

func TestOnlyWeMayRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	s := open(t, dir, Options{})
	must(t, s.PutUser(user.User{Name: "4001"}, Audit{}))
	must(t, keepCopy(s.writer.mu.conn, filepath.Join(dir, "copy")))
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) < 6 {
		t.Errorf("only %d files", len(entries))
	}
	for _, e := range entries {
		info, err := e.Info()
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
}

func TestExpiredBindingsAreForgotten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, Options{})
	stop := run(t, s)
	changes := putBindings("old", "yesterday", "live")
	for i, expired := range []time.Duration{25 * time.Hour, 23 * time.Hour, -time.Hour} {
		changes[i].Binding.Expires = time.Now().Add(-expired)
	}
	must(t, s.SaveBindings(changes, nil))
	must(t, stop())
	must(t, s.Close())
	bindings, err := open(t, dir, Options{}).LoadBindings()
	must(t, err)
	if len(bindings) != 2 || bindings[0].AoR != "live" || bindings[1].AoR != "yesterday" {
		t.Errorf("bindings: %+v", bindings)
	}
}

func putBindings(aors ...string) []registrar.Change {
	var changes []registrar.Change
	for _, aor := range aors {
		changes = append(changes, registrar.Change{Action: registrar.Put, Binding: binding(aor)})
	}
	return changes
}
