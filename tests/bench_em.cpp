#include "elbo/inference/em.h"
#include "elbo/distributions.h"
#include "elbo/kernels/runtime.h"
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <chrono>
#include <cstdio>
#include <cstdlib>
using namespace elbo;
int main(int argc,char**argv){
  runtime::tune({.threads=atoi(argv[1])});
  const auto o=at::TensorOptions(at::kDouble);
  int64_t n=100000,d=20,K=20;
  auto x=Noise(1).normal({n,d},o)+Noise(3).normal({K,d},o).index_select(0, at::arange(n,at::kLong).remainder(K))*2; 
  auto loc=x.narrow(0,0,K).clone(); auto L=at::eye(d,o).expand({K,d,d}).contiguous(); auto p=at::full({K},1.0/K,o);
  Program model=[&](Trace&t,const Batch&b){ auto data=t.plate("data",b.rows,b.total);
    auto k=t.sample("k",Categorical(p,Validate::kNo));
    t.observe("x",MultivariateNormal(loc.index({k}),L.index({k}),Validate::kNo),b["x"]);};
  Em em(model,{{"k",weighted_mle("Categorical",{.num_categories=K}),{p}},{"x",weighted_mle("MultivariateNormal",{.event_shape={d},.variance_floor=1e-6}),{loc,L}}},{.chunk_rows=atoi(argv[2])});
  RowStream rows{n,[&](int64_t f,int64_t c){Batch b;b.columns["x"]=x.narrow(0,f,c);b.rows=at::arange(f,f+c,at::kLong);b.total=n;return b;}};
  double best=1e9;
  for(int rep=0;rep<12;++rep){ auto t0=std::chrono::steady_clock::now(); double ll=em.iterate(rows);
   auto t1=std::chrono::steady_clock::now(); double ms=std::chrono::duration<double,std::milli>(t1-t0).count(); best=std::min(best,ms); if(rep>9)printf("%.2f ms  ll %.6f\n",ms,ll);}
  printf("best %.2f\n",best);
}
