


dfm   1
import"std/nn.dfm"as   nn
dim B=dynamic( 1 .. 64 ,8 ),D =   4
const   LONGNAME=1
const S= - 1 * -( 2)
##   doc
op   f( x:[B,D],io:dim->dim,  e:const=1e-5,n :dim = (A,B))->[B,D]{


      x=f( x )[ 0 , ... ]  as q   init normal( std = 0.02 )   tag t   # one
      yy , z =g(x, k = v,D->( H,Dh ))     # two
      yyy[i,k:0..3]=sum [ d ]( x [d] )^2;
      a = 1 ; b = 2

      # own line



      if not a{b=1}
      else   {
      b=2  }
  repeat r[ i :L ]with x{x=x}   
  return(x)
          # before the end

}
  vjp(dx){dx=dy}
layout l for m where world==8{mesh dp=1,tp = 2,
   cp=4
   shard B on dp  ;}
variant "x"  for m{ }
variant "y" for m {
}
