package e2e

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// TestDemo runs the demonstration as a stranger would and checks the facts that it prints.
func TestDemo(t *testing.T) {
	t.Parallel()
	began := time.Now()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(limit(t), filepath.Join(bin, "mssdemo"))
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	text := stdout.String()
	if err != nil {
		t.Fatalf("mssdemo: %v\n%s%s", err, text, stderr.String())
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("took %v, a minute is promised", took)
	}
	defer func() {
		if t.Failed() {
			t.Log(text)
		}
	}()
	pids := map[string]bool{}
	for _, role := range []string{"lmss run", "lmss signal", "lmss media"} {
		pids[find(t, text, role+`: pid (\d+)`)] = true
	}
	if len(pids) != 3 {
		t.Errorf("pids %v of three processes", pids)
	}
	for _, fact := range []string{
		`4001 hears 620 Hz and not its own 440 Hz`,
		`4002 hears 440 Hz and not its own 620 Hz`,
		`both phones send their voice to their own office`,
		`4001 holds the call and hears silence`,
		`4001 resumes and hears 620 Hz again`,
		`0 packets missing at either phone across the kill`,
		`one record of the call: completed \(hang-up\), recovered: true`,
		`the ladder after the kill has the re-INVITE and the BYE`,
		`no process, port or file is left`,
		`All of it worked`,
	} {
		find(t, text, fact)
	}
	checkLadder(t, text)
	checkCounts(t, text)
	if old := find(t, text, `killed pid (\d+)`); old == find(t, text, `started it again: pid (\d+)`) {
		t.Errorf("pid %s before and after the kill", old)
	}
}

// find wants a fact in the text and gives its first group, if it has one.
func find(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Errorf("the demonstration does not say %q", pattern)
		return ""
	}
	return m[len(m)-1]
}

// checkLadder wants one Session-ID, both legs, and the messages in order.
func checkLadder(t *testing.T, text string) {
	t.Helper()
	_, ladder, _ := strings.Cut(text, "trace  [")
	ladder, _, _ = strings.Cut(ladder, "✓")
	if n := strings.Count(ladder, "Session-ID"); n != 1 {
		t.Errorf("%d Session-IDs in the ladder", n)
	}
	if n := strings.Count(ladder, "Call-ID"); n != 2 {
		t.Errorf("%d Call-IDs in the ladder of two legs", n)
	}
	rest := ladder
	for _, message := range []string{"INVITE 4002", "401 ", "INVITE 4002", "INVITE 4002", "180 ", "200 OK (INVITE", "ACK"} {
		_, after, found := strings.Cut(rest, message)
		if !found {
			t.Errorf("the ladder has no %q where it is due:\n%s", message, ladder)
			return
		}
		rest = after
	}
	stamps := regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{6}`).FindAllString(ladder, -1)
	for i := 1; i < len(stamps); i++ {
		if stamps[i] < stamps[i-1] {
			t.Errorf("the ladder goes back from %s to %s", stamps[i-1], stamps[i])
		}
	}
}

// checkCounts compares the packets of relay and phones again.
func checkCounts(t *testing.T, text string) {
	t.Helper()
	rows := regexp.MustCompile(`the relay counted (\d+) packets (?:to|from) \d+, the phone (\d+)`).FindAllStringSubmatch(text, -1)
	if len(rows) != 4 {
		t.Errorf("%d counts of packets, four are due", len(rows))
	}
	for _, row := range rows {
		relay, err1 := strconv.Atoi(row[1])
		phone, err2 := strconv.Atoi(row[2])
		if err1 != nil || err2 != nil || phone < 50 || relay < phone-phone/100-1 || relay > phone+phone/100+1 {
			t.Errorf("%s", row[0])
		}
	}
}

// TestDemoUpEndsWithCtrlC starts mssdemo --up, registers nothing, interrupts it and looks for what is left.
func TestDemoUpEndsWithCtrlC(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(limit(t), 30*time.Second)
	defer cancel()
	address := node.NewAddress()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "mssdemo"), "--up", "--listen", address.String())
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	var text strings.Builder
	for lines.Scan() {
		text.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "Ctrl-C ends it") {
			break
		}
	}
	find(t, text.String(), `account 4001, password \S{20,}`)
	find(t, text.String(), `SIP server \(registrar, proxy\): `+regexp.QuoteMeta(address.String())+`:5060 over UDP`)
	if len(node.Bound(address)) == 0 {
		t.Error("nothing is bound while it is up")
	}
	must(t, cmd.Process.Signal(syscall.SIGINT))
	rest, err := io.ReadAll(stdout)
	must(t, err)
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v\n%s%s", err, text.String(), rest)
	}
	find(t, string(rest), `no process, port or file is left`)
	if bound := node.Bound(address); len(bound) != 0 {
		t.Errorf("left bound: %v", bound)
	}
}
