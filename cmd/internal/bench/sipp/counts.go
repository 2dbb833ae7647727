package sipp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const statFile = "stat.csv"

// Counts are what a SIPp has counted.
type Counts struct {
	Created    int // calls begun
	Successful int // calls that went as the scenario says
	Failed     int // calls that did not
	Steps      []Step
}

// Step is what became of one step of the scenario.
type Step struct {
	Name       string // method or status
	Incoming   bool   // a message that is expected, not sent
	Timed      bool   // it is repeated until something comes back
	Messages   int    // sent or received, without repetitions
	Repeated   int    // repetitions of these
	Unexpected int    // other messages that came when this one was due
}

// Counts reads what the process has counted: up to a second ago while it runs, all when it has ended.
func (p *Process) Counts() (Counts, error) {
	stat, err := os.ReadFile(filepath.Join(p.dir, statFile))
	if err != nil {
		return Counts{}, fmt.Errorf("read sipp's counts: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(p.dir, "*_counts.csv"))
	if err != nil || len(files) != 1 {
		return Counts{}, errors.Join(fmt.Errorf("read sipp's counts: %d files in %s", len(files), p.dir), err)
	}
	steps, err := os.ReadFile(files[0])
	if err != nil {
		return Counts{}, fmt.Errorf("read sipp's counts: %w", err)
	}
	return parseCounts(string(stat), string(steps))
}

func parseCounts(stat, steps string) (Counts, error) {
	var c Counts
	err := lastRow(stat, func(column, value string) error {
		field := map[string]*int{
			"TotalCallCreated": &c.Created, "SuccessfulCall(C)": &c.Successful, "FailedCall(C)": &c.Failed,
		}[column]
		return number(field, value)
	})
	if err == nil {
		err = lastRow(steps, func(column, value string) error { return step(&c.Steps, column, value) })
	}
	if err != nil {
		return Counts{}, fmt.Errorf("read sipp's counts: %w", err)
	}
	return c, nil
}

// step takes a column such as "2_180_Recv": the number, name and aspect of a step.
func step(steps *[]Step, column, value string) error {
	index, rest, _ := strings.Cut(column, "_")
	name, aspect, ok := strings.Cut(rest, "_")
	if !ok {
		return nil // such as CurrentTime
	}
	i, err := strconv.Atoi(index)
	if err != nil || i < 0 || i > 1000 {
		return fmt.Errorf("%q is no number of a step", index)
	}
	for len(*steps) <= i {
		*steps = append(*steps, Step{})
	}
	s := &(*steps)[i]
	s.Name = name
	switch aspect {
	case "Sent", "Recv":
		s.Incoming = aspect == "Recv"
		return number(&s.Messages, value)
	case "Retrans":
		return number(&s.Repeated, value)
	case "Timeout":
		s.Timed = !s.Incoming
	case "Unexp":
		return number(&s.Unexpected, value)
	}
	return nil
}

// number reads value into field; a nil field is one that nobody asks for.
func number(field *int, value string) error {
	if field == nil {
		return nil
	}
	n, err := strconv.Atoi(value)
	*field = n
	return err
}

// lastRow goes through the columns of the newest whole row of a table with its names in the first.
func lastRow(table string, visit func(column, value string) error) error {
	whole := table[:strings.LastIndexByte(table, '\n')+1] // SIPp may be writing the next
	rows := strings.Split(strings.TrimSpace(whole), "\n")
	if len(rows) < 2 {
		return errors.New("nothing counted yet")
	}
	names, values := strings.Split(rows[0], ";"), strings.Split(rows[len(rows)-1], ";")
	if len(names) != len(values) {
		return fmt.Errorf("%d columns, %d values", len(names), len(values))
	}
	for i, name := range names {
		if err := visit(name, values[i]); err != nil {
			return fmt.Errorf("column %s: %w", name, err)
		}
	}
	return nil
}

// Sent is how many messages the first step that sends name has sent.
func (c Counts) Sent(name string) int { return c.messages(name, false) }

// Received is how many messages the first step that waits for name has got.
func (c Counts) Received(name string) int { return c.messages(name, true) }

func (c Counts) messages(name string, incoming bool) int {
	for _, s := range c.Steps {
		if s.Incoming == incoming && s.Name == name {
			return s.Messages
		}
	}
	return 0
}

// RepeatedBySelf is how often this SIPp sent a message again because nothing came back in time. What it repeats to
// answer a repetition is not counted.
func (c Counts) RepeatedBySelf() int {
	return c.repeated(func(s Step) bool { return s.Timed })
}

// RepeatedByPeer is how often the other side sent a message again.
func (c Counts) RepeatedByPeer() int {
	return c.repeated(func(s Step) bool { return s.Incoming })
}

func (c Counts) repeated(counts func(Step) bool) int {
	sum := 0
	for _, s := range c.Steps {
		if counts(s) {
			sum += s.Repeated
		}
	}
	return sum
}
