package plugin

import (
	"context"
	"time"

	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
)

// leastPing is how often a caller may ping: agentd does not unless told to, a proxy between may.
const leastPing = 5 * time.Second

// server is what agentd and people dial: the tools, health and reflection.
type server struct {
	*grpc.Server
	health  *health.Server
	closing context.Context
	close   context.CancelFunc
}

func newServer(i *instance, secured credentials.TransportCredentials) *server {
	closing, closeAll := context.WithCancel(context.Background())
	s := &server{health: health.NewServer(), closing: closing, close: closeAll}
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxWire), grpc.MaxSendMsgSize(maxWire), grpc.ConnectionTimeout(10 * time.Second),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: leastPing, PermitWithoutStream: true}),
		grpc.StreamInterceptor(s.endWatches),
	}
	if secured != nil {
		options = append(options, grpc.Creds(secured))
	}
	s.Server = grpc.NewServer(options...)
	toolv1.RegisterToolServiceServer(s.Server, served{instance: i})
	healthv1.RegisterHealthServer(s.Server, s.health)
	reflection.Register(s.Server)
	s.ready(false)
	return s
}

// ready tells everyone who watches.
func (s *server) ready(isReady bool) {
	told := healthv1.HealthCheckResponse_NOT_SERVING
	if isReady {
		told = healthv1.HealthCheckResponse_SERVING
	}
	for _, service := range []string{"", toolv1.ToolService_ServiceDesc.ServiceName} {
		s.health.SetServingStatus(service, told)
	}
}

// stop ends watches of health, which never end by themselves, and lets all else that is still told
// reach its reader within limit.
func (s *server) stop(limit time.Duration) {
	s.close()
	timer := time.AfterFunc(limit, s.Stop)
	defer timer.Stop()
	s.GracefulStop()
}

func (s *server) endWatches(on any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if info.FullMethod != healthv1.Health_Watch_FullMethodName {
		return handle(on, stream)
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	return handle(on, watch{stream, ctx})
}

type watch struct {
	grpc.ServerStream
	ctx context.Context
}

func (w watch) Context() context.Context { return w.ctx }

// served is the service over an instance.
type served struct {
	toolv1.UnimplementedToolServiceServer
	instance *instance
}

// GetCatalog asks for no token: what a plugin offers is no secret, and people look at it with bare
// grpcurl. Calls are guarded.
func (s served) GetCatalog(context.Context, *toolv1.GetCatalogRequest) (*toolv1.GetCatalogResponse, error) {
	return &toolv1.GetCatalogResponse{Catalog: s.instance.catalog}, nil
}

func (s served) Call(request *toolv1.CallRequest, stream grpc.ServerStreamingServer[toolv1.CallResponse]) error {
	if err := s.instance.checkToken(stream.Context()); err != nil {
		return err
	}
	return s.instance.answer(stream.Context(), request, stream.Send)
}
