package beliefs

import (
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/belief"
)

// change is what the feed tells a person's sockets: a belief, or a job, by its id; a
// belief "" is all of them, and a kind "" everything.
type change struct{ kind, id string }

// maxNews is how many changes wait to be looked at; beyond it, the client lists again.
const maxNews = 256

// note takes in a change. It waits for nothing. A socket that watches no scope is told
// nothing.
func (s *socket) note(c change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || len(s.scopes) == 0 {
		return
	}
	switch {
	case c.kind == "" || len(s.news) == maxNews:
		s.news, s.behind = nil, true
	default:
		for _, known := range s.news {
			if known == c {
				return
			}
		}
		s.news = append(s.news, c)
	}
	if !s.busy {
		s.busy = true
		s.tells.Go(func() { s.guard(s.tell) })
	}
}

// take gives what was noted; none: nothing more.
func (s *socket) take() (news []change, behind bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news, behind = s.news, s.behind
	s.news, s.behind = nil, false
	s.busy = (len(news) > 0 || behind) && s.ctx.Err() == nil
	return news, behind
}

// tell tells the client what has changed until nothing has.
func (s *socket) tell() {
	for {
		news, behind := s.take()
		if len(news) == 0 && !behind || s.ctx.Err() != nil {
			return
		}
		for _, c := range news {
			behind = !s.tellOf(c) || behind
		}
		if !behind {
			continue
		}
		s.push(event{V: 1, Type: typeResync})
		select { // a database that comes and goes is told of once in a while
		case <-s.ctx.Done():
		case <-time.After(resyncEvery):
		}
	}
}

// tellOf tells of one change, and reports whether it could be known.
func (s *socket) tellOf(c change) bool {
	if c.kind == "belief" && c.id == "" {
		s.forget()
		s.push(event{V: 1, Type: typeErased})
		return true
	}
	p, err := s.asker()
	if err != nil {
		return false
	}
	if c.kind == "extraction" {
		job, err := s.edge.Beliefs.Progress(s.as(p), p, c.id)
		if err == nil {
			s.tellJob(job)
		}
		return err == nil || tenure.IsKind(err, tenure.NotFound)
	}
	b, err := s.edge.Beliefs.Pushed(s.as(p), p, tenure.BeliefID(c.id))
	switch {
	case tenure.IsKind(err, tenure.NotFound):
		return s.tellGone(tenure.BeliefID(c.id))
	case err != nil:
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.scopes[b.Scope] {
		return true
	}
	s.remember(b)
	e := event{V: 1, Type: typeUpserted, Belief: show(b)}
	if b.Status == tenure.BeliefSuperseded {
		e.Type, e.By = typeSuperseded, &b.Superseded
	}
	s.push(e)
	return true
}

// tellGone tells of a belief that is not there any more, where the client knows of it:
// else it may be one of another workspace.
func (s *socket) tellGone(id tenure.BeliefID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	scope, known := s.told[id]
	delete(s.told, id)
	if known && s.scopes[scope] {
		s.push(event{V: 1, Type: typeDeleted, BeliefID: id})
	}
	return known || len(s.told) < belief.MaxBeliefs
}

// jobEvents tell how far the drawing of beliefs out of a turn is.
var jobEvents = map[string]string{"running": typeStarted, "finished": typeFinished, "failed": typeFailed}

func (s *socket) tellJob(job belief.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name := jobEvents[job.State]; name != "" && s.scopes[job.Scope] {
		e := event{V: 1, Type: name, Job: job.ID, Scope: job.Scope, Error: job.Error}
		if name == typeFinished {
			e.Found = &job.Found
		}
		s.push(e)
	}
}

// remember notes that the client knows of beliefs. It needs the lock.
func (s *socket) remember(all ...tenure.Belief) {
	for _, b := range all {
		if len(s.told) < belief.MaxBeliefs {
			s.told[b.ID] = b.Scope
		}
	}
}

func (s *socket) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.told)
}
