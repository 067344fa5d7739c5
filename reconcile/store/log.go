package store

import (
	"context"
	"log/slog"

	"go.uber.org/zap/zapcore"
)

// zapCore carries etcd's log into ours, one level lower than etcd has it: it warns of much that is no warning in a member
// without peers. What etcd calls info is left out.
type zapCore struct {
	log *slog.Logger
}

func (c *zapCore) Enabled(l zapcore.Level) bool {
	return l >= zapcore.WarnLevel && c.log.Enabled(context.Background(), level(l))
}

func level(l zapcore.Level) slog.Level {
	switch {
	case l >= zapcore.DPanicLevel:
		return slog.LevelError
	case l >= zapcore.ErrorLevel:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

func (c *zapCore) With(fields []zapcore.Field) zapcore.Core {
	return &zapCore{log: c.log.With(attrs(fields)...)}
}

func (c *zapCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	c.log.Log(context.Background(), level(e.Level), "etcd said", append([]any{"message", e.Message}, attrs(fields)...)...)
	return nil
}

func (c *zapCore) Sync() error { return nil }

func attrs(fields []zapcore.Field) []any {
	enc := zapcore.NewMapObjectEncoder()
	out := make([]any, 0, 2*len(fields))
	for _, f := range fields {
		f.AddTo(enc)
		out = append(out, f.Key, enc.Fields[f.Key])
	}
	return out
}
