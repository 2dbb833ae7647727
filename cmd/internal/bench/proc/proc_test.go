package proc

import (
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestStatWithAnOddName(t *testing.T) {
	t.Parallel()
	s, err := parseStat("42 (a) R (b) S 7 42 42 0 -1 4194560 100 0 0 0 150 50 20 5 20 0 1 0 300 1000 100\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := (stat{parent: 7, used: 2250 * time.Millisecond, started: 3 * time.Second}); s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
	for _, bad := range []string{"", "42 (a) S 7", "42 (a) S x 42 42 0 -1 0 0 0 0 0 1 1 1 1 0 0 0 0 0 9", "42 (a) S 7 42 42 0 -1 0 0 0 0 0 1 y 1 1 0 0 0 0 0 9"} {
		if s, err := parseStat(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, s)
		}
	}
}

// TestCPUCountsDescendants burns in a grandchild that lives and in one that ended.
func TestCPUCountsDescendants(t *testing.T) {
	t.Parallel()
	const burn = `i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; `
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `(sh -c '`+burn+`'; sh -c '`+burn+` echo done; read -r x'; true); true`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil { // the second grandchild has burnt too
		t.Fatal(err)
	}
	own, err := readStat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	all, err := CPU(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its grandchild's read met the end of its input
	after := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if all <= own.used || all < after/2 {
		t.Errorf("counted %v while they ran, of which the first process %v; the kernel says %v in the end", all, own.used, after)
	}
	if _, err := CPU(cmd.Process.Pid); err == nil {
		t.Error("a process that is gone has a CPU time")
	}
}

func TestBelowEndsOnACircle(t *testing.T) {
	t.Parallel()
	all := map[int]stat{2: {parent: 3}, 3: {parent: 2}, 4: {parent: 1}}
	if below(all, 2, 9) || !below(all, 4, 1) || below(all, 5, 1) {
		t.Error("ancestors are wrong")
	}
}

func TestStarted(t *testing.T) {
	t.Parallel()
	began := time.Now()
	cmd := exec.CommandContext(t.Context(), "cat")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	at, err := Started(cmd.Process.Pid)
	if err != nil || at.Sub(began).Abs() > 200*time.Millisecond {
		t.Errorf("started at %v, found %v: %v", began, at, err)
	}
	_ = cmd.Wait() // its standard input is empty
}

func TestResident(t *testing.T) {
	t.Parallel()
	before, err := Resident(os.Getpid())
	if err != nil || before < 1<<20 {
		t.Fatalf("this test lives in %d bytes: %v", before, err)
	}
}

func TestBusyLeavesIdleOut(t *testing.T) {
	t.Parallel()
	got, err := parseBusy("cpu  100 20 30 99999 88888 4 5 6 70 80")
	if want := 1650 * time.Millisecond; got != want || err != nil {
		t.Errorf("got %v, want %v: %v", got, want, err)
	}
	for _, bad := range []string{"", "cpu0 1 2 3 4 5 6 7 8", "cpu 1 2 3", "cpu a 2 3 4 5 6 7 8"} {
		if _, err := parseBusy(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
	if now, err := Busy(); err != nil || now <= 0 {
		t.Errorf("this machine has worked %v: %v", now, err)
	}
}

func TestDroppedOfOneAddress(t *testing.T) {
	t.Parallel()
	const table = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  100: 0201407F:13C4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 3
  101: 0201407F:13C6 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 4
  102: 0301407F:13C4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 50
`
	if got, err := parseDropped(table, netip.MustParseAddr("127.64.1.2")); got != 7 || err != nil {
		t.Errorf("got %d, want 7: %v", got, err)
	}
	if _, err := Dropped(netip.MustParseAddr("127.64.1.2")); err != nil {
		t.Error(err)
	}
}
